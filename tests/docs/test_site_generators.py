"""The parts of the documentation site that are generated from the code."""

import importlib
import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from card_schema import fields, schema_table
from command_help import commands
from conf_options import RECIPES, TITLES, groups, options_page, read
from decision_list import decisions_list
from model_zoo import landing_numbers, zoo_emotions, zoo_table
from repository_links import linked_files, rewrite, source_text

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


@pytest.fixture(scope="module")
def options():
    return options_page()


def leaves(values, prefix=""):
    """Yield the keys of a config, with dots; a mapping in braces is a value."""
    for key, value in values.items():
        yield prefix + str(key)
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")


def plain(markdown):
    """Return a text without the marks of Markdown."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"\s+", " ", re.sub(r"[\\<>`]|&lt;", "", text))


def test_every_group_and_choice_is_listed(options):
    assert set(TITLES) == set(groups())
    for group, files in groups().items():
        for path in files:
            assert f"`{group}={path.stem}`" in options


def test_every_option_is_listed(options):
    for name in yaml.safe_load((CONF / "train.yaml").read_text()).keys() - {"defaults", "hydra", "distill"}:
        assert f"| `{name}` |" in options
    for group, files in groups().items():
        if group in RECIPES:
            continue
        for path in files:
            own = yaml.safe_load(path.read_text()) or {}
            for name in own.keys() - {"defaults", "name"}:
                found = f"`{group}.{name}`" in options or f"`{group}.{name}." in options
                assert found, f"{path}: {name}"


def test_every_option_has_a_meaning(options):
    rows = [line for line in options.split("\n") if line.startswith("| `")]
    assert len(rows) > 150
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_comment_is_on_the_page(options):
    page = plain(options)
    for path in [CONF / "train.yaml", *(path for files in groups().values() for path in files)]:
        for line in path.read_text().split("\n"):
            comment = re.search(r"(?:^|\s)# ?(.+)$", line)
            if not comment or "@package" in line or (path.stem == "train" and "  - " in line):
                continue
            words = re.sub(r"docs/(?:decisions/0*(\d+)|(\w+)\.md)", r"\1\2", plain(comment[1]))
            if path.stem != "train" or not line.startswith("# Config of"):
                for part in words.split(" ")[:4]:
                    assert part in page, f"{path}: {line}"


def test_defaults_differ_by_choice(options):
    row = next(line for line in options.split("\n") if line.startswith("| `augmentation.flip` |"))
    assert "`0.5` (light, standard, strong)<br>`0.0` (none)" in row
    assert "| `optimizer.rho` | `0.05` (sam) | radius of the ascent step; the paper's default |" in options
    assert "| `distill.weight` | `0.5` |" in options


def test_comments_above_and_beside_a_key_are_read(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "# @package mine\n# What it is\nname: mine   # its name\n# above\n# the key\n"
        'text: "a # b"  # beside\nbox: {a: 1}\nouter:  # both\n  inner: 2  # one\n'
    )
    file = read(path)
    assert file.text == "What it is"
    assert file.options == {
        "name": ("mine", "its name"),
        "text": ('"a # b"', "above the key beside"),
        "box": ("{a: 1}", ""),
        "outer": ("", "both"),
        "outer.inner": ("2", "one"),
    }


def test_pages_in_comments_are_links(options):
    assert "[data](../data.md)" in options
    assert "](../decisions/0003-recipes-for-two-cores.md)" in options


def test_every_command_is_listed():
    assert set(commands()) == set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"])


def test_numbers_are_those_of_the_cards():
    card = json.loads((ROOT / "fer/zoo/fer2013/card.json").read_text())
    accuracy = card["metrics"]["val"]["figures"]["accuracy"]
    value, low, high = (f"{100 * accuracy[key]:.1f}" for key in ("value", "low", "high"))
    for text in (landing_numbers(), zoo_table()):
        assert f"{value} %" in text
        assert f"[{low},&nbsp;{high}]" in text
        assert f"{card['metrics']['val']['n']:,}" in text
    assert zoo_table().count("\n") == 1 + len(list((ROOT / "fer/zoo").iterdir()))
    assert "| disgust | 55 %" in zoo_emotions()


def test_every_field_of_a_card_is_listed():
    schema = json.loads((ROOT / "fer/bundle/card.schema.json").read_text())
    table = schema_table()
    assert "| `crop.box_scale` | number | for crops by box" in table
    assert set(schema["properties"]) <= {name for name, *_ in fields(schema, schema)}
    assert all(f"| `{name}` |" in table for name in schema["properties"])


def test_every_decision_is_listed():
    files = [path.name for path in (ROOT / "docs/decisions").glob("0*.md")]
    assert all(f"]({name})" in decisions_list() for name in files)


def test_every_extra_is_on_the_page_about_installation():
    page = (ROOT / "docs/start/install.md").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for extra in extras:
        assert re.search(rf"\[(\w+,)*{extra}\]", page), extra


@pytest.mark.parametrize(
    ("link", "page", "expected"),
    [
        ("../README.md", "training.md", "index.md"),
        ("../conf/train.yaml", "training.md", "source/conf/train.yaml.md"),
        ("../../conf/train.yaml", "start/x.md", "../source/conf/train.yaml.md"),
        ("../CHANGELOG.md#unreleased", "data.md", "changelog.md#unreleased"),
        ("decisions/", "training.md", "decisions/index.md"),
        ("../data.md#layouts", "start/x.md", "../data.md#layouts"),
        ("../missing.txt", "data.md", "../missing.txt"),
        ("https://example.org/x", "data.md", "https://example.org/x"),
        ("#below", "data.md", "#below"),
    ],
)
def test_links_to_the_repository(link, page, expected):
    folder = "docs/start" if "/" in page else "docs"
    assert rewrite(f"see [this]({link}).", folder, page) == f"see [this]({expected})."


def test_code_is_not_rewritten():
    text = "```md\n[a](../README.md)\n```\n[b](../README.md)"
    assert rewrite(text, "docs", "data.md") == "```md\n[a](../README.md)\n```\n[b](index.md)"
    assert linked_files("```\n[a](../conf/train.yaml)\n```", "docs") == set()


def test_source_pages_show_the_file():
    text = "[a](../conf/train.yaml) [b](data.md) [c](../README.md)"
    assert linked_files(text, "docs") == {"conf/train.yaml"}
    page = source_text("conf/train.yaml")
    assert (CONF / "train.yaml").read_text() in page
    assert "````yaml" in page


def test_the_table_of_methods_is_that_of_its_runs(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    ablate = importlib.import_module("ablate")
    entries = [json.loads(line) for line in (ROOT / "docs/methods.jsonl").read_text().splitlines()]
    table = (ROOT / "docs/methods.md").read_text().split("<!-- table -->")[1].split("<!-- /table -->")[0]
    assert table.strip() == ablate.render(entries).strip()
