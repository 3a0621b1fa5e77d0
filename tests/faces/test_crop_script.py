"""scripts/crop_faces.py on synthetic photographs."""

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fer.data.synthetic import face_at, render_face

SCRIPT = Path(__file__).parents[2] / "scripts" / "crop_faces.py"


def crop(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def photographs(tmp_path):
    root = tmp_path / "photographs"
    for position, name in enumerate(("happy/a.png", "happy/a.jpg", "sad/b.png")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        image = render_face(face_at(0, 0, position, 0.0)[0], 160)[0]
        Image.fromarray(cv2.copyMakeBorder(image, *[60] * 4, cv2.BORDER_REPLICATE)).save(root / name)
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(root / "sad" / "empty.png")
    (root / "sad" / "broken.jpg").write_bytes(b"no image")
    return root


def test_folder_is_cropped(photographs, tmp_path):
    result = crop(photographs, tmp_path / "faces", "--size", 64, "--detector", "haar")
    assert result.returncode == 0, result.stderr
    with (tmp_path / "faces" / "faces.csv").open() as file:
        rows = {row["photograph"]: row for row in csv.DictReader(file)}
    assert {name: row["result"] for name, row in rows.items()} == {
        "happy/a.jpg": "cut", "happy/a.png": "cut", "sad/b.png": "cut", "sad/empty.png": "no face",
        "sad/broken.jpg": "unreadable",
    }  # fmt: skip
    faces = sorted(str(path.relative_to(tmp_path / "faces")) for path in (tmp_path / "faces").rglob("*.png"))
    assert faces == ["happy/a.jpg.png", "happy/a.png.png", "sad/b.png"]
    assert Image.open(tmp_path / "faces" / "sad" / "b.png").size == (64, 64)
    assert "broken.jpg" in result.stdout


def test_faces_with_the_same_name_are_all_kept(photographs, tmp_path):
    shutil.copy(photographs / "happy" / "a.jpg", photographs / "happy" / "a.jpg.png")
    (photographs / "sad" / "c.psd").write_bytes(b"x")
    result = crop(photographs, tmp_path / "faces", "--detector", "haar")
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "faces" / "happy").iterdir())) == 3
    assert "skipped: 1 .psd" in result.stdout


@pytest.mark.parametrize(
    ("output", "message"), [("photographs/faces", "got one inside it"), ("full", "new or empty folder")]
)
def test_nothing_is_overwritten(output, message, photographs, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    result = crop(photographs, tmp_path / output, "--detector", "haar")
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
