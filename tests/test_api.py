"""The Python API: the examples of docs/api.md, lazy imports, and what counts as a run."""

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest

import fer
from fer.data.synthetic import face_at, render_face

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_python(code):
    """Return the output and the error output of a new Python process."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return result.stdout.strip(), result.stderr.strip()


def test_examples_of_the_docs(tmp_path, monkeypatch, capsys, no_plots):
    """All code blocks are run in order, as one program, in a folder with a photo."""
    monkeypatch.chdir(tmp_path)
    face = render_face(face_at(0, 0, 0, 0.0)[0], 160)[0]
    cv2.imwrite("photo.jpg", cv2.copyMakeBorder(face, *[60] * 4, cv2.BORDER_REPLICATE)[..., ::-1])
    namespace = {}
    for block in BLOCK.findall((DOCS / "api.md").read_text()):
        exec(compile(block, "docs/api.md", "exec"), namespace)
    report, comparison = namespace["report"], namespace["comparison"]
    assert report.predictions.about.tta == "flip"
    assert report.folder == namespace["run"].folder / "report" / "val_flip"
    assert {path.name for path in report.folder.iterdir()} == {
        "index.html", "report.md", "metrics.json", "predictions.npz",
    }  # fmt: skip
    assert len(namespace["seeds"].results) == 2
    assert list(comparison.table) == [candidate.name for candidate in comparison.candidates]
    assert comparison.pairs[0].verdict in comparison.conclusion
    assert comparison.page.is_file()
    assert namespace["bundle"].card.name == "tiny"
    assert namespace["labels"].names == namespace["predictor"].card.labels.names
    output = capsys.readouterr().out
    assert "Expected a split role" in output
    assert namespace["face"].label in output


def test_import_loads_no_library():
    code = "import sys, fer; print({'torch', 'numpy', 'hydra', 'cv2', 'onnxruntime'} & set(sys.modules))"
    assert run_python(code) == ("set()", "")


@pytest.mark.parametrize("name", fer.__all__)
def test_public_names_exist_and_are_documented(name):
    assert getattr(fer, name).__doc__
    assert name in dir(fer)


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        fer.evalute  # noqa: B018


@pytest.mark.parametrize(
    ("name", "library"),
    [("train", "hydra"), ("evaluate", "torch"), ("export", "torch"), ("load_checkpoint", "torch")],
)
def test_a_missing_library_is_named(name, library):
    _, error = run_python(f"import sys; sys.modules[{library!r}] = None\nimport fer; fer.{name}()")
    last = error.splitlines()[-1]
    assert last.startswith(f"ModuleNotFoundError: {library} is not installed.")
    assert "pip install 'fer-lightning[train" in last


def test_export_can_be_called_after_its_package_is_imported():
    _, error = run_python("import fer.export.cli\nimport fer\nfer.export('nowhere')")
    assert error.splitlines()[-1].endswith("Give the folder that fer-train printed, or a .ckpt file.")


@pytest.mark.parametrize("kind", ["path", "text", "object", "checkpoint"])
def test_forms_of_a_run(kind, run, no_plots):
    source = {
        "path": run,
        "text": str(run),
        "object": SimpleNamespace(folder=run),
        "checkpoint": run / "checkpoints" / "best.ckpt",
    }[kind]
    report = fer.evaluate(source)
    assert report.folder == run / "report" / "val"
    assert repr(report).startswith("<accuracy ")


def test_a_checkpoint_is_found_in_its_run_folder(run):
    model, labels = fer.load_checkpoint(run)
    assert model.num_classes == len(labels) == 7
