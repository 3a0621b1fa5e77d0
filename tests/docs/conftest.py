import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from filelock import FileLock

# The generators of the site and of tables are scripts that import each other.
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path[:0] = [str(SCRIPTS / "site"), str(SCRIPTS)]
DOT = cv2.imencode(".png", np.zeros((1, 1, 3), np.uint8))[1].tobytes()


def _save_dot(_, target, **options):
    if isinstance(target, Path):
        target.write_bytes(DOT)
    else:
        target.write(DOT)


@pytest.fixture
def dots(monkeypatch):
    """Save a single pixel for each plot, which saves half the time of a small run."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", _save_dot)


@pytest.fixture(scope="session")
def workspace(tmp_path_factory, request):
    """Return the folder of `docs_workspace`, which is made once for all test processes."""
    from docs_workspace import write_workspace

    base = tmp_path_factory.getbasetemp()
    # The processes of pytest-xdist have one parent folder.
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / "docs_workspace"
    with FileLock(f"{folder}.lock"):
        if not (folder / "done").exists():
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("matplotlib.figure.Figure.savefig", _save_dot)
                write_workspace(folder)
            (folder / "done").touch()
    return folder
