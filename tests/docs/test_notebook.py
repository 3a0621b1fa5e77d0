"""The notebook of the docs: it runs, and its stored outputs are free of errors and paths."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "quickstart.ipynb"


def outputs(notebook):
    """Return all outputs of a notebook, as text."""
    parts = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [part for part in parts if part.output_type == "error"]
    return "\n".join(part.get("text", "") for part in parts)


@pytest.mark.slow
def test_it_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=240, resources=resources).execute()
    text = outputs(notebook)
    (line,) = [line for line in text.splitlines() if "accuracy on val" in line]
    # A linear model reaches about 50 %.
    assert float(line.rpartition(" ")[2].rstrip("%")) > 60
    assert "['README.md', 'card.json', 'model.onnx']" in text
    assert list(tmp_path.glob("outputs/train/*/*/report/val/index.html"))


def test_stored_outputs_show_what_it_does():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    text = outputs(notebook)
    assert "accuracy on val" in text
    images = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(images) == 2
    for word in ("/tmp", "/home", "/root", "Warning"):
        assert word not in text
