import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from wandb_file import OfflineRun

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = """
import sys
from pathlib import Path
from example_sections import sections
from fer.analysis.report.document import Section, Table
from fer.training.config import WandbConfig
from fer.training.loggers import finish_wandb, start_wandb
from fer.evaluation.output import log_report
mixed = Table(("metric", "value"), [("accuracy", "58.9 %"), ("log loss", 1.25), ("kappa", None)])
run = start_wandb(WandbConfig(project=None), Path(sys.argv[1]), {}, None)
log_report(run, [*sections(), Section("mixed", "Mixed", tables=[mixed])])
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
    (row,) = offline.history
    assert {"report/scores/table_1", "report/scores/bars", "report/faces/faces"} <= row.keys()
    table = table_of(offline, "report/scores/table_1")
    assert table["columns"][0] == "emotion"
    assert table["data"][1] == ["sad", *[None] * 12, 0]
    image = row["report/scores/bars"]
    assert (image["width"], image["height"], image["caption"]) == (1600, 700, "n = 3,589, happy")
    assert (offline.files / image["path"]).read_bytes()[:4] == b"\x89PNG"


def test_headline_metrics_are_in_the_summary(offline):
    accuracies = {key: value for key, value in offline.summary.items() if "accuracy" in key}
    assert accuracies == {
        "report/accuracy": 0.589,
        "report/accuracy_low": 0.573,
        "report/accuracy_high": 0.605,
    }
    assert "report/uar" not in offline.summary  # it is undefined


def test_a_column_can_mix_text_and_numbers(offline):
    expected = [["accuracy", "58.9 %"], ["log loss", 1.25], ["kappa", None]]
    assert table_of(offline, "report/mixed/table_1")["data"] == expected
