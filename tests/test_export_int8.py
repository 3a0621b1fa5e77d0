"""fer-export --int8 and --fp16: a smaller model that is measured, and shipped only where it is worth it."""

import numpy as np
import pytest

from fer.bundle.files import read_bundle
from fer.bundle.runtime import OnnxClassifier

pytestmark = pytest.mark.usefixtures("exported_once")


def test_fp16_is_smaller(fer_export, run, tmp_path):
    fer_export(run)
    fer_export(run, "--fp16", "--output", tmp_path / "small")
    whole, half = read_bundle(run / "bundle").card, read_bundle(tmp_path / "small").card
    assert half.precision == "fp16"
    assert half.model["bytes"] < whole.model["bytes"]
    assert half.export["parity"]["tolerance"] == 0.01


def test_int8_ships_or_says_why_not(fer_export, run):
    status, said, _ = fer_export(run, "--int8")
    card = read_bundle(run / "bundle").card
    found = card.export["quantisation"]
    assert status == 0
    assert card.precision == ("int8" if found["kept"] else "fp32")
    assert found["said"] in said
    assert found["calibration_images"] == 70
    assert {"fp32_ms", "int8_ms", "times_faster"} == set(found["speed"]["batch_1"])
    assert found["said"] in (run / "bundle" / "README.md").read_text()


def test_int8_that_is_kept_is_what_ships(fer_export, run, monkeypatch):
    monkeypatch.setattr("fer.exporting.int8.LEAST_SPEEDUP", 0.0)
    monkeypatch.setattr("fer.exporting.int8.MOST_LOSS", 1.0)
    fer_export(run, "--int8")
    bundle = read_bundle(run / "bundle")
    assert bundle.card.precision == "int8"
    assert b"QuantizeLinear" in bundle.model_path.read_bytes()
    assert OnnxClassifier(bundle)(np.zeros((2, 48, 48, 3), np.uint8)).shape == (2, 7)


def test_int8_without_pictures_is_refused(fer_export, homeless):
    status, _, complaint = fer_export(homeless, "--int8")
    assert status == 2
    assert "--calibration" in complaint
