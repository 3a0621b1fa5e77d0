"""fer-models, called through its main function."""

import json

import pytest
from tiny_bundle import HASHES, write_bundle

from fer.bundle.cli import main
from fer.bundle.files import CARD
from fer.bundle.registry import Registry
from fer.core.labels import FERPLUS8


@pytest.fixture
def folder(tmp_path):
    registry = Registry(tmp_path / "models")
    registry.register(write_bundle(tmp_path / "a", accuracy=0.612))
    registry.register(write_bundle(tmp_path / "b", accuracy=0.655, precision="int8"))
    return registry.folder


@pytest.fixture
def fer_models(folder, capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["--registry", str(folder), *map(str, arguments)])
        captured = capsys.readouterr()
        return exit_.value.code, captured.out, captured.err

    return call


def test_list_shows_versions_newest_first(fer_models):
    fer_models("promote", "tiny:1")
    status, output, _ = fer_models("list")
    head, second, first, *packaged = output.splitlines()
    assert status == 0
    assert head.split()[:2] == ["model", "network"]
    assert all(word in first for word in ("tiny:1", "61.2 %", "59.2 to 63.2", "3,589", "best", "fp32"))
    assert all(word in second for word in ("tiny:2", "65.5 %", "latest", "int8"))
    assert [line.split()[0] for line in packaged] == ["fer2013", "fer2013_48px"]
    # The network computes at this size; the faces that its file takes have 48 px.
    assert packaged[0].split()[2] == "96"
    assert all("installed" in line for line in packaged)


def test_speed_is_measured_on_request(fer_models):
    _, output, _ = fer_models("list", "--speed")
    head, *rows = output.splitlines()
    assert head.endswith("ms per face")
    assert all(float(row.split()[-1]) > 0 for row in rows)
    _, output, _ = fer_models("compare", "tiny:1", "fer2013")
    assert "ms per face: from uint8 pixels to probabilities" in output


def test_an_empty_registry_names_the_export_command(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--registry", str(tmp_path / "none"), "list"])
    assert exit_.value.code == 0
    assert "fer-export RUN --register" in capsys.readouterr().out


def test_show_prints_the_card(fer_models, folder):
    status, output, _ = fer_models("show", "tiny:1")
    assert status == 0
    assert "# tiny, version 1" in output
    assert "3. happy" in output
    assert str(folder / "tiny" / "1") in output


def test_an_unreadable_card_does_not_hide_others(fer_models, folder):
    card = sorted(folder.glob("*/*/card.json"))[0]
    content = json.loads(card.read_text())
    card.write_text(json.dumps(content | {"schema_version": 99}))
    status, out, err = fer_models("list")
    assert status == 2
    assert "schema_version: expected 1 or older, got 99" in err
    # A header, all versions but one, and two models of the package.
    assert len(out.splitlines()) == len(list(folder.glob("*/*/card.json"))) + 2


def test_the_model_of_the_package_is_shown_by_name(fer_models):
    status, out, _ = fer_models("show", "fer2013")
    assert status == 0
    assert out.startswith("# fer2013")


def test_promote_prints_the_previous_version(fer_models, folder):
    assert "a new alias" in fer_models("promote", "tiny:1")[1]
    assert "tiny:best is now version 2 (previously version 1)" in fer_models("promote", "tiny:2")[1]
    assert Registry(folder).aliases("tiny")["best"] == 2


def test_compare_prints_metrics_in_one_table(fer_models):
    status, output, _ = fer_models("compare", "tiny:1", "tiny:2")
    assert status == 0
    assert "61.2 %" in output
    assert "65.5 %" in output
    assert "*" not in output
    assert "selected on these images" in output


@pytest.mark.parametrize("name", HASHES)
def test_metrics_on_other_images_are_marked(fer_models, tmp_path, name):
    other = write_bundle(tmp_path / "c", accuracy=0.9, hashes=HASHES | {name: "f" * 64})
    status, output, _ = fer_models("compare", "tiny:1", other.folder)
    assert status == 0
    assert "90.0 %*" in output
    assert "61.2 %*" not in output
    assert "Not comparable with tiny:1" in output


def test_metrics_on_unknown_images_are_marked(fer_models, tmp_path):
    other = write_bundle(tmp_path / "c", metrics={})
    assert "-*" in fer_models("compare", "tiny:1", other.folder)[1]


def test_different_emotions_are_noted(fer_models, tmp_path):
    other = write_bundle(tmp_path / "c", labels=FERPLUS8)
    assert "same emotions" in fer_models("compare", "tiny:1", other.folder)[1]


@pytest.mark.parametrize(
    "arguments",
    [("show", "tinny"), ("promote", "tiny:7"), ("compare", "tiny:1", "other"), ("compare", "tiny:1")],
)
def test_errors_are_one_line(fer_models, arguments):
    status, output, error = fer_models(*arguments)
    assert (status, output) == (2, "")
    assert error.startswith("error: ")
    assert error.count("\n") == 1


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
def test_an_invalid_card_is_one_error_message(fer_models, tmp_path, change, action):
    path = write_bundle(tmp_path / "c").folder / CARD
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    status, output, error = fer_models(action, *[path.parent] * (2 if action == "compare" else 1))
    assert (status, output) == (2, "")
    assert error.startswith(f"error: {path}: expected a model card")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("show", "nope"), ("web", "nope", "page"), ("push", "nope", "hf:ann/x")]
)
def test_an_unknown_name_lists_all_models(fer_models, arguments):
    status, _, error = fer_models(*arguments)
    assert status == 2
    assert (
        "nope: expected the folder of a bundle, or one of these models: fer2013, fer2013_48px, tiny." in error
    )
