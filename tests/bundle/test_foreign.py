"""Foreign ONNX files: the spec is read, checked against the file, and followed."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from foreign_file import BIAS, LABELS, WEIGHTS, expected_probs, write_foreign, write_spec
from onnx import TensorProto

from fer.bundle.card import CROP_RULES
from fer.bundle.foreign import ForeignClassifier, prepare
from fer.bundle.foreign_spec import read_spec
from fer.core.errors import FerError

GRAY = np.repeat(np.random.default_rng(0).integers(0, 256, (70, 48, 48, 1), np.uint8), 3, axis=3)


@pytest.fixture
def classify(tmp_path):
    """Return a function that writes a file and a spec, and loads them."""

    def load(spec=None, **file):
        path = write_foreign(tmp_path / "model.onnx", **file)
        return ForeignClassifier(path, write_spec(tmp_path / "spec.yaml", **(spec or {})), threads=1)

    return load


def test_probabilities_of_logits(classify):
    classifier = classify()
    np.testing.assert_allclose(classifier(GRAY), expected_probs(GRAY), atol=1e-5)
    assert classifier(GRAY[:0]).shape == (0, 7)
    assert classifier.card.labels.name == "fer7"
    assert (classifier.card.name, classifier.card.image_size) == ("model", 48)
    assert classifier.card.crop == CROP_RULES["whole"]


def test_a_file_of_another_layout_type_and_batch_answers_the_same(classify):
    spec = {"input": {"layout": "nhwc"}, "output": "probabilities"}
    classifier = classify(spec, shape=(4, 48, 48, 1), softmax=True, dtype=TensorProto.DOUBLE)
    assert classifier.batch_size == 4
    np.testing.assert_allclose(classifier(GRAY[:6]), expected_probs(GRAY[:6]), atol=1e-5)


def test_pixels_are_given_as_they_are_to_a_uint8_file(classify):
    spec = {"input": {"scale": 1, "mean": 0, "std": 1}}
    classifier = classify(spec, dtype=TensorProto.UINT8)
    np.testing.assert_allclose(classifier(GRAY), expected_probs(GRAY, 0, 1 / 255), atol=1e-3)


@pytest.mark.parametrize("color", ["rgb", "bgr"])
def test_channels_are_in_the_order_of_the_spec(tmp_path, color):
    image = {"color": color, "size": 2, "scale": 1, "mean": [1, 2, 3], "std": [1, 2, 4]}
    spec = read_spec(write_spec(tmp_path / "spec.yaml", input=image))
    pixels = np.full((1, 2, 2, 3), (10, 20, 30), np.uint8)
    expected = [9, 9, 6.75] if color == "rgb" else [29, 9, 1.75]
    assert prepare(pixels, spec)[0, :, 0, 0].tolist() == expected


def test_colors_become_gray_by_their_luma(tmp_path):
    spec = read_spec(write_spec(tmp_path / "spec.yaml", input={"scale": 1, "mean": 0, "std": 1, "size": 1}))
    assert prepare(np.array([[[[255, 0, 0]]]], np.uint8), spec).item() == 76


def test_outputs_are_left_out_and_added(classify):
    mapping = {"Excited": "happy", "Unknown": None, "Smug": "Smug"}
    spec = {"labels": [*LABELS, "Excited", "Unknown", "Smug"], "mapping": mapping}
    classifier = classify(spec, outputs=10)
    assert classifier.spec.labels.names[-2:] == ("neutral", "smug")
    assert classifier.spec.left_out == ("Unknown",)
    mean = ((GRAY[:1] / 255 - 0.5) / 0.25).mean()
    powers = np.exp(mean * np.resize(WEIGHTS, 10) + np.resize(BIAS, 10))
    powers[3] += powers[7]
    expected = powers[[0, 1, 2, 3, 4, 5, 6, 9]]
    np.testing.assert_allclose(classifier(GRAY[:1])[0], expected / expected.sum(), atol=1e-5)


def test_an_own_crop_rule(tmp_path):
    crop = {"box_scale": 1.2, "box_shift": -0.05, "upright": True}
    rule = read_spec(write_spec(tmp_path / "spec.yaml", crop=crop)).crop
    assert (rule.box_scale, rule.box_shift, rule.upright, rule.points) == (1.2, -0.05, True, ())


def test_the_specs_of_the_documentation_are_valid(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    specs = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(specs) == 2
    for number, spec in enumerate(specs):
        (tmp_path / f"{number}.yaml").write_text(spec)
        assert len(read_spec(tmp_path / f"{number}.yaml").labels) == 8


def test_it_can_be_pickled(classify):
    classifier = classify()
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again(GRAY[:3]), classifier(GRAY[:3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    {
        "a typing error in a label": ({"labels": [*LABELS[:6], "Neutrall"]}, "Did you mean 'neutral'"),
        "labels twice": ({"labels": ["happy", "happy"]}, "labels: expected different labels"),
        "no scale": ({"input": {"scale": None}}, "input.scale: expected a positive number, such as 1/255"),
        "unknown key": ({"input": {"colour": "rgb"}}, r"Did you mean 'color'\? docs"),
        "three means": ({"input": {"mean": [0, 1, 2]}}, "input.mean: expected a number, or one for"),
        "std of 0": ({"input": {"std": 0}}, "input.std: expected a positive number"),
        "output": ({"output": "softmax"}, "output: expected one of logits, probabilities, got 'softmax'"),
        "crop": ({"crop": "fer2012"}, "crop: expected one of fer2013, aligned"),
        "points": ({"crop": {"points": [[1, 2]]}}, "crop.points: expected five points"),
        "mapping": ({"mapping": {"Joy": "happy"}}, "mapping: expected labels of the file"),
        "two at once": ({"output": 1, "labels": 2}, r"labels: expected a list .*; output: expected one of"),
    }.values(),
)  # fmt: skip
def test_a_bad_spec_names_its_keys(tmp_path, changes, message):
    with pytest.raises(FerError, match=message):
        read_spec(write_spec(tmp_path / "spec.yaml", **changes))


def test_a_spec_that_is_no_yaml(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text("labels: [a\ninput: {")
    with pytest.raises(FerError, match=r"spec.yaml: expected a spec in YAML, got a syntax error in line"):
        read_spec(path)


def test_a_spec_that_does_not_fit_names_all_that_differs(classify):
    with pytest.raises(FerError) as caught:
        classify({"input": {"color": "rgb", "size": 64}, "labels": LABELS[:6]})
    message = str(caught.value)
    assert "spec.yaml does not fit" in message
    assert "input.color: the file takes 1 channel, the spec says rgb" in message
    assert "input.size: the file takes 48 x 48, the spec says 64" in message
    assert "labels: the file has 7 outputs, the spec has 6 labels" in message


def test_another_layout_does_not_hide_other_differences(classify):
    with pytest.raises(FerError) as caught:
        classify({"input": {"layout": "nhwc", "color": "rgb", "size": 64}})
    message = str(caught.value)
    assert "which is nchw, the spec says nhwc" in message
    assert "input.color: the file takes 1 channel, the spec says rgb" in message
    assert "input.size: the file takes 48 x 48, the spec says 64" in message


@pytest.mark.parametrize(
    ("spec", "file", "message"),
    [
        ({"input": {"layout": "nhwc"}}, {}, "which is nchw, the spec says nhwc"),
        ({"output": "probabilities"}, {}, "expected probabilities, which sum to 1"),
        ({}, {"softmax": True}, "expected logits, got numbers that sum to 1"),
        ({"input": {"name": "x"}}, {}, "input.name: the file has image, the spec says x"),
        ({}, {"dtype": TensorProto.UINT8}, "the file takes uint8, so scale: 1 without mean and std"),
        ({}, {"dtype": TensorProto.INT64}, r"the file takes tensor\(int64\), which is not an image"),
        ({"labels": LABELS[:6]}, {"shape": ("N", "C", "H", "W"), "outputs": 7}, "the file has 7 outputs"),
    ],
)
def test_a_file_that_is_something_else(classify, spec, file, message):
    with pytest.raises(FerError, match=message):
        classify(spec, **file)


def test_missing_external_data_is_named(tmp_path):
    path = write_foreign(tmp_path / "model.onnx", external="weights.bin")
    spec = write_spec(tmp_path / "spec.yaml")
    np.testing.assert_allclose(ForeignClassifier(path, spec)(GRAY), expected_probs(GRAY), atol=1e-5)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(FerError, match=r"model.onnx: expected its external data weights.bin, got no"):
        ForeignClassifier(path, spec)


def test_a_file_that_is_no_onnx_file(tmp_path):
    spec = write_spec(tmp_path / "spec.yaml")
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with pytest.raises(FerError, match="expected an ONNX file, got another format or a truncated file"):
        ForeignClassifier(tmp_path / "model.onnx", spec)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(FerError, match="expected an ONNX file, got one without a model"):
        ForeignClassifier(tmp_path / "model.onnx", spec)
    with pytest.raises(FerError, match="expected an ONNX file, but there is none"):
        ForeignClassifier(tmp_path / "none.onnx", spec)
