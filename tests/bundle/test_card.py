"""Cards are valid in their schema, and every invalid card gives a clear error."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import CROP as RULE
from tiny_bundle import write_bundle

import fer
from fer.bundle.card import SCHEMA_VERSION, Card, CropRule, read_card
from fer.bundle.files import CARD
from fer.bundle.readme import readme
from fer.core.errors import FerError

CROP = vars(RULE)
SCHEMA = Path(fer.__file__).parent / "bundle/card.schema.json"


@pytest.fixture
def path(tmp_path):
    return write_bundle(tmp_path / "bundle").folder / CARD


def change(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def schema():
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    content = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(content)
    return jsonschema.Draft202012Validator(content)


def test_a_written_card_is_valid_in_the_schema(path):
    schema().validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema_version": 2}, {"image_size": "48"}, {"precision": "fp64"}, {"created": 5}, {"extra": 1},
        {"name": "../up"}, {"temperature": 0}, {"labels": {"name": "fer7", "names": ["happy", "happy"]}},
    ],
    ids=str,
)  # fmt: skip
def test_the_schema_rejects_invalid_fields(path, wrong):
    change(path, **wrong)
    assert not schema().is_valid(json.loads(path.read_text()))


def test_schema_and_code_have_the_same_fields():
    content = json.loads(SCHEMA.read_text())
    assert set(content["properties"]) == set(content["required"]) == set(Card.__dataclass_fields__)
    assert set(content["properties"]["crop"]["properties"]) == set(CropRule.__dataclass_fields__)
    assert content["properties"]["schema_version"]["const"] == SCHEMA_VERSION


@pytest.mark.parametrize("field", [name for name in Card.__dataclass_fields__ if name != "schema_version"])
def test_a_missing_field_is_named_in_the_error(path, field):
    content = json.loads(path.read_text())
    del content[field]
    path.write_text(json.dumps(content))
    with pytest.raises(FerError, match=field):
        read_card(path)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_card_is_an_error(path, fraction):
    text = path.read_text()
    path.write_text(text[: int(fraction * len(text.rstrip()))])
    with pytest.raises(FerError, match="truncated or damaged"):
        read_card(path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "Install a newer version"),
        ({"schema_version": None}, "schema_version: expected"),
        ({"name": "../../escaped"}, "only letters, digits"),
        ({"model": {}}, "model.sha256"),
        ({"model": []}, "model"),
        ({"licence": {}}, "licence.data, licence.weights"),
        ({"crop": CROP | {"box_scale": 0}}, "box_scale > 0"),
        ({"crop": CROP | {"points": CROP["points"][:3]}}, "five points or none"),
        ({"crop": {"name": "x"}}, "invalid content"),
        ({"labels": {"name": "fer7", "names": ["happy", "sad"]}}, "angry, disgust"),
        ({"surprise": 1}, "surprise"),
        ({"training": {"members": None}}, "training.members"),
        ({"training": {"members": ["a run"]}}, "training.members"),
    ],
)
def test_an_invalid_field_is_named_with_the_file(path, fields, message):
    change(path, **fields)
    with pytest.raises(FerError, match=message) as raised:
        read_card(path)
    assert str(path) in str(raised.value)


def test_a_list_is_not_a_card(path):
    path.write_text("[1, 2]")
    with pytest.raises(FerError, match="schema"):
        read_card(path)


def test_a_binary_file_is_not_a_card(path):
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FerError, match="truncated or damaged"):
        read_card(path)


def test_the_readme_has_the_content_of_the_card(path):
    card = read_card(path)
    text = readme(card)
    for index, emotion in enumerate(card.labels.names):
        assert f"\n{index}. {emotion}\n" in text
    for fact in ("60.0 %", "58.0 to 62.0 %", "3,589", "selection split", "0.300 | 0.400", "below 0.50"):
        assert fact in text
    assert "not a feeling" in text.replace("\n", " ")


def test_the_readme_has_only_a_cross_fitted_calibration_error(path):
    card = read_card(path)
    part = card.metrics["val"]
    part["figures"]["ece_mass"] = {"value": 0.031, "low": 0.02, "high": 0.04}
    assert "calibration error" not in readme(card)
    part["cross_fitted"] = {"folds": 5, "figures": ["ece_mass"]}
    assert "calibration error (ECE) | 3.1 % | 2.0 to 4.0 %" in readme(card)
    assert "is cross-fitted in 5 folds" in readme(card)


def test_the_readme_says_if_nothing_was_measured(path):
    change(path, metrics={}, abstain_below=None)
    change(path, export=json.loads(path.read_text())["export"] | {"calibration": None})
    text = readme(read_card(path))
    assert "not measured" in text
    assert "not calibrated" in text
    assert "uncertain" not in text


MATRIX = [[5 if row == column else 1 for column in range(7)] for row in range(7)]


def with_confusion(path, confusion):
    metrics = json.loads(path.read_text())["metrics"]
    metrics["val"]["confusion"] = confusion
    change(path, metrics=metrics)


def test_a_card_may_have_a_confusion_matrix(path):
    assert "confusion" not in read_card(path).metrics["val"]
    with_confusion(path, MATRIX)
    schema().validate(json.loads(path.read_text()))
    assert read_card(path).metrics["val"]["confusion"] == MATRIX


@pytest.mark.parametrize(
    "wrong",
    [
        MATRIX[:6],
        [row[:6] for row in MATRIX],
        [*MATRIX[:6], [1.5] * 7],
        [*MATRIX[:6], [-1] * 7],
        "many",
        [1] * 7,
    ],
    ids=("six rows", "six columns", "fractions", "negative", "string", "flat"),
)
def test_a_confusion_matrix_of_the_wrong_shape_is_an_error(path, wrong):
    with_confusion(path, wrong)
    with pytest.raises(FerError, match="7 rows of 7 counts"):
        read_card(path)


def test_metrics_of_the_wrong_type_are_an_error(path):
    change(path, metrics={"val": [0.5]})
    with pytest.raises(FerError, match=r"metrics\.val"):
        read_card(path)


def test_without_a_threshold_no_confidence_is_certain(tmp_path):
    """Probabilities are rounded to 1 where the logits are far apart."""
    card = write_bundle(tmp_path / "bundle", abstain_below=None).card
    assert card.uncertain_below is not None
    assert not (np.ones(1, np.float32) >= card.uncertain_below).any()
    assert f"{card.uncertain_below:.0%}" == "100%"
