"""Every block of Python in the documentation runs, and the code that a block of YAML is for reads it."""

import re

import pytest
import yaml
from docs_calls import small_trainings
from docs_text import ROOT, Line, blocks, pages
from omegaconf import OmegaConf

import fer
from fer.bundle.foreign_spec import read_spec
from fer.sweep.space import parse_space

# Pages whose blocks another test runs, as files or as one program.
ELSEWHERE = {"docs/extending.md": "tests/training/test_extending.py", "docs/api.md": "tests/test_api.py"}
# Blocks that do not run here: what stands in them -> why.
NOT_RUN = {'fer.Predictor("hf:': "needs the network; tests/bundle/test_hub.py"}
PYTHON = {page: blocks(page, "python") for page in pages() if page not in ELSEWHERE}
YAML = [block for page in pages() if page not in ELSEWHERE for block in blocks(page, "yaml")]


@pytest.fixture
def here(workspace, tmp_path, monkeypatch):
    """Make a copy of the workspace the current folder."""
    from docs_workspace import copy_workspace

    copy_workspace(workspace, tmp_path / "work", Line(("python",), ""))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, found in PYTHON.items() if found])
@pytest.mark.usefixtures("dots", "exported_once")
def test_the_python_of_a_page_runs(page, here):
    """In order, as one program; a page may use `fer`, two runs and some images without making them."""
    import torch

    namespace = {"fer": fer, "run": "RUN", "other": "OTHER_RUN", "images": torch.rand(2, 1, 48, 48)}
    with small_trainings(here / "HOME"):
        for block in PYTHON[page]:
            if not any(text in block.code for text in NOT_RUN):
                exec(compile("\n" * block.line + block.code, page, "exec"), namespace)


@pytest.mark.parametrize("block", YAML, ids=str)
def test_a_block_of_yaml_is_valid(block, tmp_path):
    content = yaml.safe_load(block.code)
    if "labels" in content:
        (tmp_path / "spec.yaml").write_text(block.code)
        assert len(read_spec(tmp_path / "spec.yaml").labels) == len(content["labels"])
    else:
        assert content.keys() == {"space"}
        assert parse_space(OmegaConf.to_container(OmegaConf.create(block.code)["space"]))


def test_no_row_of_the_tables_is_unused():
    code = "".join(block.code for found in PYTHON.values() for block in found)
    assert all(text in code for text in NOT_RUN)
    assert all(blocks(page, "python") for page in ELSEWHERE)
    for text in (*NOT_RUN.values(), *ELSEWHERE.values()):
        for path in re.findall(r"tests/[\w/.]+", text):
            assert (ROOT / path).exists(), path
