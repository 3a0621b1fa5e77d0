"""Cards: their schema holds for what is written, and every way to be broken has one clear message."""

import json
from pathlib import Path

import pytest
from written_bundle import CROP as RULE
from written_bundle import write_bundle

import fer
from fer.bundle.card import SCHEMA_VERSION, Card, CropRule, read_card
from fer.bundle.files import CARD
from fer.bundle.readme import readme
from fer.errors import FerError

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


def test_a_written_card_fits_the_schema(path):
    schema().validate(json.loads(path.read_text()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema_version": 2}, {"image_size": "48"}, {"precision": "fp64"}, {"created": 5}, {"extra": 1},
        {"name": "../up"}, {"temperature": 0}, {"labels": {"name": "fer7", "names": ["happy", "happy"]}},
    ],
    ids=str,
)  # fmt: skip
def test_the_schema_refuses(path, wrong):
    change(path, **wrong)
    assert not schema().is_valid(json.loads(path.read_text()))


def test_schema_and_code_name_the_same_fields():
    content = json.loads(SCHEMA.read_text())
    assert set(content["properties"]) == set(content["required"]) == set(Card.__dataclass_fields__)
    assert set(content["properties"]["crop"]["properties"]) == set(CropRule.__dataclass_fields__)
    assert content["properties"]["schema_version"]["const"] == SCHEMA_VERSION


@pytest.mark.parametrize("field", [name for name in Card.__dataclass_fields__ if name != "schema_version"])
def test_a_missing_field_is_named(path, field):
    content = json.loads(path.read_text())
    del content[field]
    path.write_text(json.dumps(content))
    with pytest.raises(FerError, match=field):
        read_card(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_card_that_was_cut_off_is_noticed(path, share):
    text = path.read_text()
    path.write_text(text[: int(share * len(text.rstrip()))])
    with pytest.raises(FerError, match="cut off or damaged"):
        read_card(path)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"schema_version": SCHEMA_VERSION + 1}, "Install a newer version"),
        ({"schema_version": None}, "which schema"),
        ({"name": "../../escaped"}, "letters, digits and"),
        ({"model": {}}, "model.sha256"),
        ({"model": []}, "model"),
        ({"licence": {}}, "licence.data, licence.weights"),
        ({"crop": CROP | {"box_scale": 0}}, "box_scale above 0"),
        ({"crop": CROP | {"points": CROP["points"][:3]}}, "five points or none"),
        ({"crop": {"name": "x"}}, "does not fit"),
        ({"labels": {"name": "fer7", "names": ["happy", "sad"]}}, "angry, disgust"),
        ({"surprise": 1}, "surprise"),
        ({"training": {"members": None}}, "training.members"),
        ({"training": {"members": ["a run"]}}, "training.members"),
    ],
)
def test_what_does_not_fit_is_said_with_the_file(path, fields, said):
    change(path, **fields)
    with pytest.raises(FerError, match=said) as found:
        read_card(path)
    assert str(path) in str(found.value)


def test_a_list_is_no_card(path):
    path.write_text("[1, 2]")
    with pytest.raises(FerError, match="schema"):
        read_card(path)


def test_binary_is_no_card(path):
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FerError, match="cut off or damaged"):
        read_card(path)


def test_the_readme_says_what_the_card_says(path):
    card = read_card(path)
    text = readme(card)
    for place, emotion in enumerate(card.labels.names):
        assert f"\n{place}. {emotion}\n" in text
    for fact in ("60.0 %", "58.0 to 62.0 %", "3,589", "selection split", "0.300 | 0.400", "below 0.50"):
        assert fact in text
    assert "not a feeling" in text.replace("\n", " ")


def test_the_readme_says_that_nothing_was_measured(path):
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


def test_a_confusion_matrix_travels_with_the_card_and_need_not(path):
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
    ids=("six rows", "six columns", "shares", "negative", "a word", "flat"),
)
def test_a_confusion_matrix_of_other_emotions_is_refused(path, wrong):
    with_confusion(path, wrong)
    with pytest.raises(FerError, match="7 rows of 7 counts"):
        read_card(path)


def test_figures_that_are_none_are_refused(path):
    change(path, metrics={"val": [0.5]})
    with pytest.raises(FerError, match=r"metrics\.val"):
        read_card(path)
