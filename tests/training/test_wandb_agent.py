"""`wandb agent` runs fer-train: the command and environment that it builds from scripts/wandb_sweep.yaml."""

import json
import os
from pathlib import Path

import pytest
import yaml
from forked import ForkedTrain
from tiny import TINY, TINY_FACES
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args
from wandb.sdk.lib.config_util import save_config_file_from_dict
from wandb_file import OfflineRun, read_wandb

from fer.training.api import composed
from fer.training.overrides import to_run_config

ROOT = Path(__file__).resolve().parent.parent.parent
SWEEP = yaml.safe_load((ROOT / "scripts" / "wandb_sweep.yaml").read_text(encoding="utf-8"))
# As the server chooses them.
VALUES = {"optimizer": "muon", "optimizer.lr": 0.00123, "optimizer.weight_decay": 0.02,
          "loss.label_smoothing": 0.1, "trainer.max_epochs": 1}  # fmt: skip


def agent_command(values):
    """Return the command of `wandb agent`, as `wandb.wandb_agent.Agent._command_run` builds it."""
    args = {name: {"value": value} for name, value in values.items()}
    variables = create_sweep_command_args({"args": args}) | {"env": ["/usr/bin/env"]}
    command = []
    for part in create_sweep_command(list(SWEEP["command"])):
        is_macro = part.startswith("${") and part.endswith("}")
        command += variables[part[2:-1]] if is_macro else [part]
    return command


def test_every_parameter_is_an_option(monkeypatch):
    monkeypatch.setenv("FER2013", "/data/fer2013.csv")
    assert set(VALUES) == set(SWEEP["parameters"])
    assert SWEEP["metric"] == {"name": "val/accuracy", "goal": "maximize"}
    for optimizer in SWEEP["parameters"]["optimizer"]["values"]:
        words = agent_command({**VALUES, "optimizer": optimizer})
        assert words[:2] == ["/usr/bin/env", "fer-train"]
        with composed(words[2:]) as config:
            run_config = to_run_config(config)
        assert run_config.optimizer.name == optimizer
        assert (run_config.optimizer.lr, run_config.loss.label_smoothing) == (0.00123, 0.1)
        assert run_config.data.path == "/data/fer2013.csv"


@pytest.mark.slow
def test_a_run_of_an_agent_has_the_id_and_the_parameters_of_the_sweep(tmp_path):
    """The agent sets the id of the run, and W&B reads the parameters from a file."""
    parameters = tmp_path / "wandb" / "sweep-abcd1234" / "config-run42.yaml"
    parameters.parent.mkdir(parents=True)
    save_config_file_from_dict(str(parameters), {name: {"value": value} for name, value in VALUES.items()})
    # On synthetic faces, without an installed command.
    words = [word for word in agent_command(VALUES)[2:] if not word.startswith(("datamodule", "model="))]
    process = ForkedTrain(
        *TINY, *TINY_FACES, *words, "model=fast_cnn_inner", f"hydra.run.dir={tmp_path}/run",
        "trainer.max_epochs=1", folder=tmp_path,
        environment=os.environ | {
            "WANDB_MODE": "offline", "WANDB_SWEEP_ID": "abcd1234", "WANDB_RUN_ID": "run42",
            "WANDB_PROJECT": "faces", "WANDB_SWEEP_PARAM_PATH": str(parameters),
        },
    )  # fmt: skip
    output = "".join(process.communicate(200))
    assert process.returncode == 0, output
    assert "Ignoring" not in output
    run = next(record.run for record in read_wandb(tmp_path / "run") if record.HasField("run"))
    assert (run.run_id, run.sweep_id, run.project) == ("run42", "abcd1234", "faces")
    offline = OfflineRun.read(tmp_path / "run")
    assert {name: offline.config[name] for name in VALUES} == VALUES
    assert offline.config["options"]["optimizer"]["name"] == "muon"
    assert offline.values("val/accuracy") == [offline.summary["val/accuracy"]]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["wandb"]["id"] == "run42"
