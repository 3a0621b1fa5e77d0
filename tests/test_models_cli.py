"""fer-models through its own main."""

import json

import pytest
from written_bundle import HASHES, write_bundle

from fer.bundle.files import CARD
from fer.bundle.registry import Registry
from fer.labels import FERPLUS8
from fer.models_cli import main


@pytest.fixture
def folder(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.register(write_bundle(tmp_path / "a", accuracy=0.612))
    registry.register(write_bundle(tmp_path / "b", accuracy=0.655, precision="int8"))
    return registry.folder


@pytest.fixture
def fer_models(folder, capsys):
    def call(*words):
        with pytest.raises(SystemExit) as exit_:
            main(["--registry", str(folder), *map(str, words)])
        said = capsys.readouterr()
        return exit_.value.code, said.out, said.err

    return call


def test_list_shows_versions_newest_first(fer_models):
    fer_models("promote", "tiny:1")
    status, said, _ = fer_models("list")
    head, second, first = said.splitlines()
    assert status == 0
    assert head.split()[:2] == ["model", "network"]
    assert all(word in first for word in ("tiny:1", "61.2 %", "59.2 to 63.2", "3,589", "best", "fp32"))
    assert all(word in second for word in ("tiny:2", "65.5 %", "latest", "int8"))


def test_an_empty_registry_says_how_to_fill_it(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--registry", str(tmp_path / "none"), "list"])
    assert exit_.value.code == 0
    assert "fer-export RUN --register" in capsys.readouterr().out


def test_show_says_everything(fer_models, folder):
    status, said, _ = fer_models("show", "tiny:1")
    assert status == 0
    assert "# tiny, version 1" in said
    assert "3. happy" in said
    assert str(folder / "tiny" / "1") in said


def test_one_card_that_cannot_be_read_hides_no_other(fer_models, folder):
    card = sorted(folder.glob("*/*/card.json"))[0]
    content = json.loads(card.read_text())
    card.write_text(json.dumps(content | {"schema_version": 99}))
    status, out, err = fer_models("list")
    assert status == 2
    assert "expected schema 1 or older, got 99" in err
    assert len(out.splitlines()) == len(list(folder.glob("*/*/card.json")))  # a head, and all but one


def test_the_model_of_the_package_is_shown_by_name(fer_models):
    status, out, _ = fer_models("show", "fer2013")
    assert status == 0
    assert out.startswith("# fer2013")


def test_promote_says_what_was_before(fer_models, folder):
    assert "it is new" in fer_models("promote", "tiny:1")[1]
    assert "tiny:best is version 2; it was 1 before" in fer_models("promote", "tiny:2")[1]
    assert Registry(folder).aliases("tiny")["best"] == 2


def test_compare_sets_figures_side_by_side(fer_models):
    status, said, _ = fer_models("compare", "tiny:1", "tiny:2")
    assert status == 0
    assert "61.2 %" in said
    assert "65.5 %" in said
    assert "*" not in said
    assert "chosen on these images" in said


@pytest.mark.parametrize("name", HASHES)
def test_figures_of_other_images_are_marked(fer_models, tmp_path, name):
    other = write_bundle(tmp_path / "c", accuracy=0.9, hashes=HASHES | {name: "f" * 64})
    status, said, _ = fer_models("compare", "tiny:1", other.folder)
    assert status == 0
    assert "90.0 %*" in said
    assert "61.2 %*" not in said
    assert "not to be compared with it" in said.replace("\n", " ")


def test_figures_of_unknown_images_are_marked(fer_models, tmp_path):
    other = write_bundle(tmp_path / "c", metrics={})
    assert "-*" in fer_models("compare", "tiny:1", other.folder)[1]


def test_other_emotions_are_said(fer_models, tmp_path):
    other = write_bundle(tmp_path / "c", labels=FERPLUS8)
    assert "same emotions" in fer_models("compare", "tiny:1", other.folder)[1]


@pytest.mark.parametrize(
    "words", [("show", "tinny"), ("promote", "tiny:7"), ("compare", "tiny:1", "other"), ("compare", "tiny:1")]
)
def test_mistakes_end_in_one_line(fer_models, words):
    status, said, complaint = fer_models(*words)
    assert (status, said) == (2, "")
    assert complaint.startswith("error: ")
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card["metrics"]["val"].pop("split"),
        lambda card: card["metrics"]["val"].update(n="many"),
        lambda card: card["metrics"]["val"].pop("selection_split"),
        lambda card: card["metrics"]["val"]["figures"]["accuracy"].pop("value"),
        lambda card: card["metrics"]["val"]["figures"]["accuracy"].pop("high"),
        lambda card: card["metrics"]["val"]["figures"].update(uar=0.5),
        lambda card: card["metrics"].update(val=[]),
        lambda card: card["export"].update(quantisation="int8"),
        lambda card: card["crop"].update(points=[[0.3, 0.4, 0.5]] * 5),
    ],
)
@pytest.mark.parametrize("action", ["show", "compare"])
def test_a_card_that_was_edited_by_hand_is_one_clear_message(fer_models, tmp_path, change, action):
    path = write_bundle(tmp_path / "c").folder / CARD
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    status, said, complaint = fer_models(action, *[path.parent] * (2 if action == "compare" else 1))
    assert (status, said) == (2, "")
    assert complaint.startswith(f"error: {path}: expected the card of a model")
    assert complaint.count("\n") == 1
