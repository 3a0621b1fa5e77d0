"""CONTRIBUTING.md, templates, citation and change log: what they name exists, and versions agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CHANGES = (ROOT / "CHANGELOG.md").read_text()
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PLACES = re.findall(r"^\| `([\w./]+)` \| .*?`([^`]+)`", CONTRIBUTING, re.MULTILINE)
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


@pytest.mark.parametrize(("path", "text"), PLACES, ids=lambda value: value)
def test_a_place_of_an_example_has_what_the_table_says(path, text):
    assert text in (ROOT / path).read_text()


def test_each_kind_of_part_has_places_in_code_config_tests_and_docs():
    tables = CONTRIBUTING.split("| content |")[1:]
    assert len(tables) == 3
    for table in tables:
        for folder in ("fer/", "conf/", "tests/", "docs/"):
            assert f"| `{folder}" in table


def test_the_examples_of_own_parts_are_those_that_are_tested():
    anchors = re.findall(r"docs/extending\.md#([\w-]+)", CONTRIBUTING)
    titles = re.findall(r"^## (.+)$", (ROOT / "docs" / "extending.md").read_text(), re.MULTILINE)
    assert set(anchors) == {"model", "loss", "data-reader"}
    assert set(anchors) <= {title.lower().replace(" ", "-") for title in titles}


def test_the_versions_agree():
    released = re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", CHANGES, re.MULTILINE)
    assert released[0] == (PROJECT["version"], str(CITATION["date-released"]))
    assert CITATION["version"] == PROJECT["version"]
    assert f"version = {{{PROJECT['version']}}}" in (ROOT / "docs" / "faq.md").read_text()


def test_the_change_log_has_the_form_of_keep_a_changelog():
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    sections = CHANGES.split("\n## ")[1:]
    assert sections[0].startswith("Unreleased\n")
    for section in sections:
        found = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert found == [kind for kind in kinds if kind in found]


def test_the_citation_names_the_authors_and_the_licence_of_the_repository():
    licence = (ROOT / "LICENSE").read_text()
    assert CITATION["cff-version"] == "1.2.0"
    assert all(author["name"] in licence for author in CITATION["authors"])
    assert CITATION["license"] == PROJECT["license"]
    assert CITATION["type"] == "software"
    assert {"message", "title", "abstract", "keywords"} <= CITATION.keys()


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_an_issue_template_is_valid(path):
    form = yaml.safe_load(path.read_text())
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": True, "contact_links": []}
        return
    assert {"name", "description", "body"} <= form.keys()
    for field in form["body"]:
        assert field["type"] in ("markdown", "input", "textarea", "dropdown", "checkboxes")
        assert field["attributes"]["label"]
    assert len({field["id"] for field in form["body"]}) == len(form["body"])


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/release.md", "docs/faq.md", "docs/field.md"])
def test_links_to_files_exist(page):
    folder = (ROOT / page).parent
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", (ROOT / page).read_text())
    assert links
    assert [link for link in links if not (folder / link).exists()] == []
