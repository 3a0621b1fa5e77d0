"""Options of ``logger.wandb``: keywords of ``wandb.init``, and switches for parts of what is logged."""

from types import SimpleNamespace

import pytest
import wandb
from pydantic import ValidationError
from tiny import TINY, TINY_FACES
from wandb_file import OfflineRun, read_wandb

from fer.core.errors import FerError
from fer.training.lightning_loggers import RunWandbLogger, log_best_values
from fer.training.loggers import _arguments, _settings, first_line
from fer.training.wandb_config import WandbConfig

TEXTS = {"project": "faces", "entity": "team", "group": "a group", "job_type": "search", "name": "a name, é",
         "notes": "some notes", "id": "my-id"}  # fmt: skip


def test_options_are_keywords_of_wandb_init(tmp_path):
    options = WandbConfig(**TEXTS, tags=["own"], dir=str(tmp_path / "runs"), save_code=True)
    user = wandb.Settings(project="other", run_id="other", run_notes="other", run_tags=("other",))
    arguments = _arguments(options, tmp_path, user, "random", ["of the run", "own"])
    expected = {**TEXTS, "tags": ["own", "of the run"], "dir": str(tmp_path / "runs"), "resume": "allow"}
    assert arguments == {**expected, "save_code": True}


def test_without_options_the_environment_applies(tmp_path):
    user = wandb.Settings(project="faces", run_tags=("first",), root_dir=str(tmp_path), run_name="a name")
    arguments = _arguments(WandbConfig(), tmp_path / "run", user, "random", [])
    assert (arguments["project"], arguments["name"], arguments["tags"]) == ("faces", "a name", ["first"])
    own = _arguments(WandbConfig(), tmp_path / "run", wandb.Settings(), "random", [], "mine")
    assert own["name"] == "mine"
    # W&B reads these itself.
    assert [arguments[name] for name in ("notes", "job_type", "entity", "dir")] == [None] * 4
    with_tags = _arguments(WandbConfig(), tmp_path / "run", user, "random", ["of the run"])
    assert with_tags["tags"] == ["first", "of the run"]


def test_an_agent_chooses_the_identity_of_a_run(tmp_path):
    user = wandb.Settings(sweep_id="abcd1234", run_id="run42", project="faces")
    assert not {"id", "project", "entity"} & _arguments(WandbConfig(), tmp_path, user, "random").keys()


def test_settings():
    user = wandb.Settings(init_timeout=3, silent=True)
    assert _settings(user, True, False, None) == {
        "finish_timeout": 300, "silent": True, "finish_timeout_raises": True
    }  # fmt: skip
    chosen = _settings(user, False, True, {"quiet": True, "silent": False})
    assert (chosen["console"], chosen["quiet"], chosen["silent"]) == ("off", True, False)
    assert _settings(user, True, True, None)["console_multipart"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"save_kode": True},
            "logger.wandb.save_kode: expected a keyword of wandb.init, got another one. "
            "Did you mean 'save_code'?",
        ),
        ({"mode": "off"}, "logger.wandb.mode: expected one of online, offline, disabled, shared or null"),
        ({"samples": "no"}, "logger.wandb.samples: expected true or false, got 'no'"),
    ],
)
def test_wrong_options_are_one_line(values, message):
    with pytest.raises(FerError) as error:
        WandbConfig.from_dict(values)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_stored_values_are_those_that_were_chosen():
    assert WandbConfig().to_dict() == {
        "project": None, "entity": None, "group": None, "tags": [], "log_model": True
    }  # fmt: skip
    stored = WandbConfig(notes="some", plots=False, save_code=True).to_dict()
    assert WandbConfig.from_dict(stored).to_dict() == stored
    assert (stored["plots"], stored["save_code"], stored["notes"]) == (False, True, "some")


@pytest.mark.slow
def test_each_part_is_switched_off_by_an_option(fer_train, tmp_path):
    names = ("samples", "plots", "console", "log_model")
    off = [f"logger.wandb.{name}=false" for name in names] + ["trainer.log_every_n_steps=0"]
    run = fer_train(
        *TINY, *TINY_FACES, "model=fast_cnn_inner", "logger=wandb", *off, "+logger.wandb.settings.quiet=true",
        f"logger.wandb.dir={tmp_path}/runs", "logger.wandb.notes=some notes", "tags=[x]",
    )  # fmt: skip
    assert run.status == 0
    offline = OfflineRun.read(tmp_path / "runs")
    logged = {name for row in offline.history for name in row}
    assert "val/accuracy" in logged
    assert not [name for name in logged if name.startswith(("samples/", "plots/"))]
    assert not {"train/loss_step", "train/accuracy_step", "perf/images_per_second_step"} & logged
    assert (offline.output, offline.artifacts) == ("", {})
    run_record = next(record.run for record in read_wandb(tmp_path / "runs") if record.HasField("run"))
    assert (run_record.notes, list(run_record.tags)) == ("some notes", ["x"])


@pytest.mark.parametrize(("sweep_id", "wrap"), [(None, True), ("abcd1234", False)])
def test_the_summary_has_the_best_values_of_all_epochs(sweep_id, wrap):
    """Of an offline run that was resumed, W&B has seen the last epochs only."""
    # With several validations per epoch, the rows have the last one only.
    logged = {"train/loss": {"min": 1.5}, "val/ece": {"min": 0.01}} if wrap else {}
    logger = RunWandbLogger.__new__(RunWandbLogger)
    logger._experiment = SimpleNamespace(summary=dict(logged), sweep_id=sweep_id)
    rows = [{"val/accuracy": 0.6, "val/ece": 0.1}, {"val/accuracy": 0.5, "val/ece": 0.02}]
    log_best_values([logger], rows, ["sad"])
    summary = logger._experiment.summary
    assert summary["val/accuracy"] == ({"max": 0.6} if wrap else 0.6)
    assert summary["val/ece"] == ({"min": 0.01} if wrap else 0.02)
    assert "val_emotion/f1/sad" not in summary


def test_a_wrong_variable_is_named():
    with pytest.raises(ValidationError) as error:
        wandb.Settings(mode="bogus")
    assert first_line(error.value).startswith("mode: Input should be 'online'")
