import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from wandb_file import OfflineRun

from fer.analysis.about import About
from fer.data.config import FER2013Config
from fer.evaluation.output import report_prefix
from fer.training.config import RunConfig

# The package exports the function of the same name.
evaluate = import_module("fer.evaluation.evaluate")

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = """
import sys
from pathlib import Path
from example_sections import sections
from fer.analysis.report.document import Section, Table
from fer.training.config import WandbConfig
from fer.training.loggers import finish_wandb, start_wandb
from fer.evaluation.output import log_report
rows = [("accuracy", "58.9 %"), ("log loss", 1.25), ("kappa", None)]
mixed = Table(("metric", "value"), rows, name="overall")
run = start_wandb(WandbConfig(project=None), Path(sys.argv[1]), {}, None)
log_report(run, [*sections(), Section("mixed", "Mixed", tables=[mixed])], "report/fer2013/val")
log_report(run, sections(), "report/folder-JAFFE-1f3c/all")
finish_wandb(run, failed=False)
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory):
    """Log a report to an offline run in a subprocess, because W&B keeps a process open, and read it back."""
    folder = tmp_path_factory.mktemp("run")
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "tests" / "helpers")))
    environment = os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": paths}
    subprocess.run([sys.executable, "-c", SCRIPT, folder], check=True, env=environment, cwd=folder)
    return OfflineRun.read(folder)


def table_of(offline, name):
    return json.loads((offline.files / offline.values(name)[0]["path"]).read_text())


def test_tables_and_plots_are_logged_in_one_step(offline):
    row, other = offline.history
    names = ("scores/table", "scores/bars", "faces/faces")
    assert {f"report/fer2013/val/{name}" for name in names} <= row.keys()
    assert {f"report/folder-JAFFE-1f3c/all/{name}" for name in names} <= other.keys()
    table = table_of(offline, "report/fer2013/val/scores/table")
    assert table["columns"][0] == "emotion"
    assert table["data"][1] == ["sad", *[None] * 12, 0]
    image = row["report/fer2013/val/scores/bars"]
    assert (image["width"], image["height"], image["caption"]) == (1600, 700, "n = 3,589, happy")
    assert (offline.files / image["path"]).read_bytes()[:4] == b"\x89PNG"


def test_headline_metrics_are_in_the_summary(offline):
    accuracies = {key: value for key, value in offline.summary.items() if "accuracy" in key}
    parts = {"accuracy": 0.589, "accuracy_low": 0.573, "accuracy_high": 0.605, "accuracy_n": 3589}
    prefixes = ("report/fer2013/val", "report/folder-JAFFE-1f3c/all")
    assert accuracies == {f"{prefix}/{name}": value for prefix in prefixes for name, value in parts.items()}
    assert not any(key.endswith("uar") for key in offline.summary)  # it is undefined


def test_a_column_can_mix_text_and_numbers(offline):
    expected = [["accuracy", "58.9 %"], ["log loss", 1.25], ["kappa", None]]
    assert table_of(offline, "report/fer2013/val/mixed/overall")["data"] == expected


def scored(manifest="a", **facts):
    facts = {"checkpoint": "run/checkpoints/best.ckpt", "role": "val", **facts}
    return About(**facts, manifest={"count": 1, "pixels_sha256": manifest})


def prefix(data=None, **facts):
    return report_prefix(scored(**facts), FER2013Config(path="/data/fer2013.csv"), data)


def test_scores_of_other_images_have_other_names():
    assert prefix() == prefix(manifest="b") == "report/fer2013/val"
    assert prefix(role="test", tta="flip") == "report/fer2013/test_flip"
    assert prefix(checkpoint="last.ckpt") == "report/fer2013/val_last"
    changed = prefix(changed=("val",))
    assert re.fullmatch(r"report/fer2013-[0-9a-f]{4}/val", changed)
    other = [prefix("folder:/data/CK+ v1.2", role="all", manifest=text) for text in ("a", "b")]
    assert all(re.fullmatch(r"report/folder-CK--v1-[0-9a-f]{4}/all", name) for name in other)
    assert len(set(other)) == 2
    assert report_prefix(scored(members=(About(),)), None, None) == "report/data/val_ensemble"


def test_a_report_on_several_runs_is_a_run_of_its_own(monkeypatch, tmp_path):
    """The id and the name that were chosen for the training are those of one training."""
    started = []
    monkeypatch.setattr(
        evaluate, "start_wandb", lambda options, folder, *_: started.append((options, folder))
    )
    monkeypatch.setattr(evaluate, "finish_wandb", lambda *_: None)
    monkeypatch.setattr(evaluate, "log_report", lambda *_: None)
    chosen = {"id": "mine", "name": "mine", "group": "thesis"}
    config = RunConfig(model={"name": "fast_cnn"}, logger={"wandb": chosen})
    run = SimpleNamespace(config=config, shown_config=config.to_dict(), folder=tmp_path / "run")
    evaluate._log([run], tmp_path / "run" / "report", [], "report/fer2013/val")
    evaluate._log([run, run], tmp_path / "seeds", [], "report/fer2013/val")
    (own, _), (several, folder) = started
    assert (own.id, own.name, own.job_type, started[0][1]) == ("mine", "mine", None, tmp_path / "run")
    assert (several.id, several.name, several.job_type, several.group) == (None, None, "evaluation", "thesis")
    assert folder == tmp_path / "seeds"
