"""fer-export --int8 and --fp16: smaller models; int8 is used only if it is faster and as accurate."""

import numpy as np
import pytest

from fer.bundle.files import read_bundle
from fer.bundle.runtime import OnnxClassifier

pytestmark = pytest.mark.usefixtures("exported_once")


def test_fp16_is_smaller(fer_export, run, tmp_path):
    fer_export(run)
    fer_export(run, "--fp16", "--output", tmp_path / "small")
    fp32, fp16 = read_bundle(run / "bundle").card, read_bundle(tmp_path / "small").card
    assert fp16.precision == "fp16"
    assert fp16.model["bytes"] < fp32.model["bytes"]
    assert fp16.export["parity"]["tolerance"] == 0.01


def test_int8_is_used_or_rejected_with_a_reason(fer_export, run):
    status, output, _ = fer_export(run, "--int8")
    card = read_bundle(run / "bundle").card
    quantisation = card.export["quantisation"]
    assert status == 0
    assert card.precision == ("int8" if quantisation["kept"] else "fp32")
    assert quantisation["said"] in output
    assert quantisation["calibration_images"] == 70
    assert {"fp32_ms", "int8_ms", "times_faster"} == set(quantisation["speed"]["batch_1"])
    assert quantisation["said"] in (run / "bundle" / "README.md").read_text()


def test_a_used_int8_model_is_in_the_bundle(fer_export, run, monkeypatch):
    monkeypatch.setattr("fer.export.quantize.MIN_SPEEDUP", 0.0)
    monkeypatch.setattr("fer.export.quantize.MAX_ACCURACY_LOSS", 1.0)
    monkeypatch.setattr("fer.export.quantize.MAX_PLAUSIBLE_LOSS", 1.0)
    fer_export(run, "--int8")
    bundle = read_bundle(run / "bundle")
    assert bundle.card.precision == "int8"
    assert b"QuantizeLinear" in bundle.model_path.read_bytes()
    assert OnnxClassifier(bundle)(np.zeros((2, 48, 48, 3), np.uint8)).shape == (2, 7)


def test_int8_without_data_is_an_error(fer_export, run_without_data):
    status, _, error = fer_export(run_without_data, "--int8")
    assert status == 2
    assert "--calibration" in error
