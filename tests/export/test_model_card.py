"""The parts of a card that come from the run: name, crop rule, licence, training; without local paths."""

import shlex
from types import SimpleNamespace

import numpy as np
import pytest

from fer.analysis.metrics.calibration_file import Calibration
from fer.analysis.metrics.classification import score
from fer.analysis.metrics.selective import Threshold
from fer.analysis.metrics.temperature import cross_fitted_probs, fit_temperature, scaled_probs
from fer.bundle.card import CROP_RULES
from fer.core.errors import FerError
from fer.core.labels import SPACES
from fer.evaluation.crop import crop_rule
from fer.export.export import calibration_entry, choose_threshold
from fer.export.model_card import (
    _duration,
    _public_command,
    choose_name,
    licence,
    measure_metrics,
)
from fer.export.sample_images import evenly_spaced, strip_folder, strip_folders
from fer.models.checkpoint import Checkpoint
from fer.training.config import RunConfig
from fer.training.run_record import RunRecord


def run_of(datamodule, name="fer2013_fast_s0_85e0", pretrained=False, init_from=None):
    model = {"name": "resnet18", "pretrained": pretrained}
    config = {"datamodule": datamodule, "name": name, "model": model, "attention": {"name": "none"}}
    checkpoint = Checkpoint(None, None, config, {}, 1, init_from)
    data = {"path": "/data", **datamodule} if datamodule["name"] not in ("concat", "synthetic") else None
    typed = RunConfig(model=model, name=name, datamodule=data)
    return SimpleNamespace(name="12-00-00_" + name, checkpoint=checkpoint, config=typed)


def runs_of(*datamodules, **initial):
    return [run_of(datamodule, **initial) for datamodule in datamodules]


FER = {"name": "fer2013", "path": "/data/fer2013.csv"}


@pytest.mark.parametrize(
    ("run_name", "expected"),
    [("fer2013_fast_s0_85e0", "fer2013_fast"), ("my_s1", "my_s1"), ("a_s2_b_s10_beef", "a_s2_b")],
)
def test_the_name_has_no_seed(run_name, expected):
    assert choose_name([run_of(FER, run_name)], None) == expected


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "smile 2", "-x", "a\n"])
def test_names_that_are_not_folder_names_are_rejected(name):
    with pytest.raises(FerError, match="--name"):
        choose_name(runs_of(FER), name)


@pytest.mark.parametrize(
    ("datamodule", "rule"),
    [
        (FER, "fer2013"),
        ({"name": "ferplus"}, "fer2013"),
        ({**FER, "votes": True}, "fer2013"),
        ({"name": "folder"}, "whole"),
        ({"name": "concat", "sources": [FER, {"name": "ferplus"}]}, "fer2013"),
        ({"name": "concat", "sources": [FER, {"name": "folder"}]}, "whole"),
    ],
)
def test_the_crop_rule_is_that_of_the_data_set(datamodule, rule):
    assert crop_rule(runs_of(datamodule)) == CROP_RULES[rule]
    assert crop_rule(runs_of(datamodule), "fer2013") == CROP_RULES["fer2013"]
    assert crop_rule(runs_of(datamodule, {"name": "folder"})) == CROP_RULES["whole"]


def test_the_licence_lists_all_data_sets():
    terms = licence(runs_of({"name": "concat", "sources": [FER, {"name": "rafdb"}, {"name": "synthetic"}]}))
    for word in ("FER2013", "RAF-DB", "Synthetic faces"):
        assert word in terms["data"]
    assert "research only" in terms["weights"]
    assert "research" not in licence(runs_of({"name": "synthetic"}))["weights"]
    assert "not known to this program" in licence(runs_of({"name": "folder"}))["weights"]
    assert "research only" in licence(runs_of({"name": "folder"}, FER))["weights"]
    assert "FER+" in licence(runs_of({**FER, "votes": True}))["data"]
    assert "FER+" not in licence(runs_of(FER))["data"]
    assert "RAF-DB" in licence(runs_of(FER, {"name": "rafdb"}))["data"]


SYNTHETIC = {"name": "synthetic"}


@pytest.mark.parametrize(
    ("initial", "word"),
    [
        ({"init_from": {"data": ["fer2013"], "init_from": None}}, "FER2013"),
        (
            {"init_from": {"data": ["synthetic"], "init_from": {"data": ["rafdb"], "init_from": None}}},
            "RAF-DB",
        ),
        ({"init_from": {"data": ["timm"], "init_from": None}}, "ImageNet"),
        ({"init_from": {"path": "older", "init_from": None}}, "unknown"),
        ({"pretrained": True}, "ImageNet"),
        ({"pretrained": "/data/weights.pth"}, "unknown"),
    ],
)
def test_the_licence_includes_the_initial_weights(initial, word):
    terms = licence(runs_of(SYNTHETIC, **initial))
    assert word in terms["data"]
    assert "research only" in terms["weights"]


def test_folders_are_stripped_from_values():
    sources = [{"path": "~/faces"}, {"path": "mercy/x.csv"}, {"path": None}]
    values = {"path": "/data/mine/fer2013.csv", "sources": sources, "name": "fer2013", "size": 48}
    assert strip_folders(values) == {
        "path": "fer2013.csv", "sources": [{"path": "faces"}, {"path": "x.csv"}, {"path": None}],
        "name": "fer2013", "size": 48,
    }  # fmt: skip


def test_folders_of_windows_are_stripped():
    assert strip_folders({"path": "C:\\Users\\me\\fer2013.csv"}) == {"path": "fer2013.csv"}
    assert strip_folder("'D:\\faces\\'") == "'faces'"
    assert strip_folder(r"/data/a\,b.csv") == r"a\,b.csv"


def threshold(target_accuracy, confidence, coverage):
    return Threshold(target_accuracy, confidence, coverage, None, None, 100)


def calibration(*thresholds):
    return Calibration(1.2, 1.1, 1.3, thresholds, "val", "PublicTest", 100, "a", "b")


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ([threshold(0.8, 0.6, 0.4), threshold(0.9, 0.8, 0.2)], 0.6),
        ([threshold(0.8, 0.1, 1.0), threshold(0.9, 0.5, 0.7)], 0.5),  # 80 % without abstaining
        ([threshold(0.8, 0.1, 1.0), threshold(0.9, 0.15, 1.0)], 0.15),
        ([threshold(0.8, None, None)], None),
    ],
)
def test_the_threshold_is_the_first_with_abstention(thresholds, expected):
    threshold = choose_threshold(calibration(*thresholds))
    assert (threshold.confidence if threshold else None) == expected
    entry = calibration_entry(calibration(*thresholds))["threshold"]
    assert (entry["confidence"] if entry else None) == expected


def test_no_calibration_entry_without_calibration():
    assert calibration_entry(None) is None


def test_rows_are_evenly_spaced():
    assert evenly_spaced(np.arange(100, 200), 5).tolist() == [100, 124, 149, 174, 199]
    assert evenly_spaced(np.arange(3), 10).tolist() == [0, 1, 2]


def test_folders_are_stripped_from_the_command():
    typed = "fer-train experiment=x datamodule.path=/data/me/fer2013.csv output_dir=/data/me/runs seed=1"
    assert _public_command(typed) == "fer-train experiment=x datamodule.path=fer2013.csv seed=1"
    assert _public_command(None) is None
    several = (
        "fer-train 'datamodule.sources=[{name: x, path: /data/mine/x.csv}, {path:~/CK+}]' model.name=a/b"
    )
    expected = "fer-train 'datamodule.sources=[{name: x, path: x.csv}, {path:CK+}]' model.name=a/b"
    assert _public_command(several) == expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("datamodule.path=../mercy/fer2013.csv", "datamodule.path=fer2013.csv"),
        ("datamodule.path=/srv/mercy/data/", "datamodule.path=data"),
        ("datamodule.path=/srv/a,b/c.csv", "datamodule.path=c.csv"),
        ('datamodule.path="mercy/a=b.csv"', 'datamodule.path="a=b.csv"'),
        ("datamodule.sources=[{path: mercy/x}, {path: a/b/}]", "datamodule.sources=[{path: x}, {path: b/}]"),
        ("model.init_from=runs/mercy/x", "model.init_from=x"),
        ("model.pretrained=true", "model.pretrained=true"),
        ("model.name=hf-hub/a", "model.name=hf-hub/a"),
    ],
)
def test_relative_folders_are_stripped_from_the_command(typed, expected):
    assert shlex.split(_public_command(shlex.join(["fer-train", typed]))) == ["fer-train", expected]


def test_the_duration_of_a_killed_run_is_that_of_its_log(tmp_path):
    rows = "epoch,perf/fit_seconds\n1,5.5\n2,11.25\n"
    assert _duration(tmp_path, RunRecord()) == (None, None)
    (tmp_path / "metrics.csv").write_text("epoch,perf/fit_seconds\n")
    assert _duration(tmp_path, RunRecord()) == (None, None)
    (tmp_path / "metrics.csv").write_text(rows)
    assert _duration(tmp_path, RunRecord()) == (2, 11.25)
    assert _duration(tmp_path, RunRecord(epochs=1, fit_seconds=5.75)) == (1, 5.75)
    assert _duration(None, RunRecord()) == (None, None)


def noisy_logits(n, scale, seed=0):
    rng = np.random.default_rng(seed)
    target = np.arange(n) % 7
    return scale * (rng.normal(size=(n, 7)) + 1.5 * np.eye(7)[target]), target


def measured(logits, target, temperature, calibrated=True):
    split = SimpleNamespace(name="PublicTest", manifest=lambda: {"count": len(target), "pixels_sha256": "a"})
    probs = scaled_probs(logits, temperature).astype(np.float32)
    fitted = temperature if calibrated else None
    return measure_metrics(SimpleNamespace(split=split), SPACES["fer7"], target, probs, fitted)


def test_calibration_metrics_are_cross_fitted():
    logits, target = noisy_logits(60, 3.0)
    temperature = fit_temperature(logits, target)
    entry, biased = measured(logits, target, temperature), measured(logits, target, temperature, False)
    assert entry["cross_fitted"] == {"folds": 5, "figures": ["log_loss", "ece_mass"]}
    assert "cross_fitted" not in biased
    expected = score(target, cross_fitted_probs(logits, target), SPACES["fer7"].names)
    for name in ("log_loss", "ece_mass", "accuracy", "macro_f1", "recall/happy"):
        assert entry["figures"][name]["value"] == pytest.approx(expected[name].value, abs=1e-6)
        assert entry["figures"][name]["low"] == pytest.approx(expected[name].low, abs=1e-6)
    # On its own images the temperature looks better than it is.
    assert entry["figures"]["log_loss"]["value"] > biased["figures"]["log_loss"]["value"]
    others = ("accuracy", "uar", "f1/sad")
    assert all(entry["figures"][name] == biased["figures"][name] for name in others)
    assert entry["confusion"] == biased["confusion"]


def test_cross_fitting_keeps_a_wrong_temperature():
    """The temperature of a quantised model is that of the model before quantisation."""
    logits, target = noisy_logits(3000, 3.0)
    temperature = 2 * fit_temperature(logits, target)
    log_loss = measured(logits, target, temperature)["figures"]["log_loss"]["value"]
    biased = measured(logits, target, temperature, False)["figures"]["log_loss"]["value"]
    right = measured(logits, target, temperature / 2)["figures"]["log_loss"]["value"]
    assert log_loss == pytest.approx(biased, abs=1e-3)
    assert log_loss > right + 0.05


def test_too_few_images_for_cross_fitting_have_no_calibration_metrics():
    entry = measured(*noisy_logits(4, 3.0), 1.5)
    assert not entry["figures"].keys() & {"log_loss", "ece_mass"}
    assert "cross_fitted" not in entry
