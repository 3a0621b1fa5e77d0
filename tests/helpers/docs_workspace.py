"""A folder with everything that the commands of the documentation name: RUN, BUNDLE, photo.jpg, photos/, …

It is made once, and copied for each command, so that no command sees what another one wrote.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

import cv2
import numpy as np
import pytest
from docs_calls import CUTS, FEW_FACES, check
from docs_text import Line
from foreign_file import write_foreign, write_spec
from image_layouts import save, write_folder
from recorded_sweeps import FEW_TRIALS, write_sweep
from tiny import write_votes
from tiny_bundle import write_bundle

from fer.bundle.registry import Registry
from fer.core.labels import FER7
from fer.data.synthetic import face_at, render_face

NET = ("model=fast_cnn", "model.kwargs.widths=[8,16]", "model.kwargs.depths=[0,0]")
ROWS = {"Training": 210, "PublicTest": 35, "PrivateTest": 35}
# Names of runs in the docs -> learning rate and seed; runs with one learning rate are seeds of one recipe.
RUNS = {
    "RUN": (0.001, 0), "RUN_A": (0.001, 0), "RUN_B": (0.002, 0), "RUN_C": (0.003, 0),
    "OTHER": (0.002, 0), "OTHER_RUN": (0.002, 0), "RUN_OF_THREE": (0.001, 0), "RUN_OF_SEVEN": (0.002, 0),
    **{f"RUN_{seed}": (0.001, seed) for seed in range(3)},
    **{f"RUN_SEED_{seed}": (0.001, seed) for seed in range(3)},
    **{f"BASE_{seed}": (0.002, seed) for seed in range(3)},
    "outputs/train/...": (0.001, 0), "outputs/train/DATE/RUN": (0.001, 0),
}  # fmt: skip
PROFILER = (
    "from pytorch_lightning.profilers import SimpleProfiler\n\n\nclass Profiler(SimpleProfiler):\n    pass\n"
)


def write_workspace(folder: Path) -> Path:
    """Write the folder, and the home folder ``HOME`` in it; return it."""
    home = folder / "HOME"
    csv = write_fer2013(home / "data")
    shutil.copy(csv, folder)
    shutil.copy(csv.with_name("fer2013new.csv"), folder)
    _write_runs(folder, csv)
    _write_models(folder)
    _write_images(folder, home)
    write_sweep(folder / "outputs" / "multirun" / "optimizers", FEW_TRIALS)
    write_sweep(folder / "outputs" / "multirun" / "recipe", FEW_TRIALS)
    _write_stopped_sweep(folder)
    (folder / "my_conf" / "experiment").mkdir(parents=True)
    (folder / "my_conf" / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 3\n")
    (folder / "my_project.py").write_text(PROFILER)
    return folder


def write_fer2013(folder: Path) -> Path:
    """Write fer2013.csv with random pixels, and FER+ votes next to it."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    lines = ["emotion,pixels,Usage"]
    for usage, number in ROWS.items():
        for row in range(number):
            lines.append(f"{row % 7},{' '.join(map(str, rng.integers(0, 256, 48 * 48)))},{usage}")
    (folder / "fer2013.csv").write_text("\n".join(lines) + "\n")
    write_votes(folder / "fer2013new.csv", ROWS)
    return folder / "fer2013.csv"


def train(folder: Path, *overrides: str) -> Path:
    """Train a small run in a folder, in this process."""
    from fer.training.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["fer-train", f"hydra.run.dir={folder}", *overrides])
        with pytest.raises(SystemExit) as end:
            main()
    assert not end.value.code
    return folder


def _write_runs(folder: Path, csv: Path) -> None:
    data = ("datamodule=fer2013", f"datamodule.path={csv}")
    made: dict[tuple[float, int], Path] = {}
    for name, (rate, seed) in RUNS.items():
        target = folder / name
        if (rate, seed) in made:
            shutil.copytree(made[rate, seed], target)
        else:
            made[rate, seed] = train(target, *data, *NET, *CUTS, f"optimizer.lr={rate}", f"seed={seed}")
    shutil.copytree(folder / "RUN", folder / "STOPPED")
    _stop(folder / "STOPPED")
    train(folder / "RUN_OF_base", "experiment=fer2013_fast", f"datamodule.path={csv}", *CUTS)
    for number in range(5):
        shutil.copytree(folder / "RUN", folder / "outputs" / "multirun" / "DATE" / str(number))


def _stop(run: Path) -> None:
    """Make a finished run one that was interrupted before its second epoch."""
    record = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("max_epochs: 1\n", "max_epochs: 2\n"))


def _write_stopped_sweep(folder: Path) -> None:
    """Write a sweep that was stopped before its first trial."""
    words = ("fer-train", "-m", "sweep=optimizers", "sweep.name=stopped", *NET, *FEW_FACES)
    with chdir(folder):
        assert check(Line(words, ""), list(words[1:])) == 0


def copy_workspace(template: Path, folder: Path, line: Line) -> None:
    """Copy the folder for one command; files that no command changes are hard links.

    Folders that a command creates are left out, such as that of a new sweep.
    """
    new = {"outputs/multirun"} if "-m" in line.words and "outputs/multirun" not in str(line) else set()
    if "scripts/crop_faces.py" in line.words:
        new.add(line.words[3])

    def ignore(parent: str, names: list[str]) -> set[str]:
        return {name for name in names if (Path(parent) / name).relative_to(template).as_posix() in new}

    def copy(source: str, target: str) -> None:
        fixed = Path(source).suffix in (".ckpt", ".onnx", ".jpg", ".png") and "/STOPPED/" not in source
        (os.link if fixed else shutil.copyfile)(source, target)

    shutil.copytree(template, folder, ignore=ignore, copy_function=copy)


def _write_models(folder: Path) -> None:
    bundle = write_bundle(folder / "BUNDLE", name="mine")
    shutil.copytree(folder / "BUNDLE", folder / "RUN" / "bundle")
    registry = Registry(folder / "models")
    registry.register(bundle)
    for seed in (1, 2):
        registry.register(write_bundle(folder / f"smile_{seed}", name="smile", seed=seed))
        shutil.rmtree(folder / f"smile_{seed}")
    for name, spec in (("model", "spec"), ("a", "a"), ("b", "b"), ("mini", "mini")):
        write_foreign(folder / f"{name}.onnx")
        write_spec(folder / f"{spec}.yaml")
    write_spec(folder / "model.yaml")


def _write_images(folder: Path, home: Path) -> None:
    write_folder(home / "data" / "CK+")
    write_folder(home / "data" / "mine")
    for place in (
        folder / "photos",
        folder / "PHOTOS",
        folder / "group_a",
        folder / "group_b",
        home / "photos",
    ):
        _write_photos(place, margin=40)
    for place in (folder / "faces", folder / "new", home / "faces", home / "mine", home / "shop"):
        _write_photos(place, margin=0)
    for number in range(3):
        shutil.copytree(folder / "faces" / FER7.names[number], folder / "NUMBERED" / str(number))
    photo = _photo(0, 60)
    save(folder / "photo.jpg", photo)
    video = cv2.VideoWriter(
        str(folder / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, photo.shape[1::-1]
    )
    for _ in range(3):
        video.write(np.ascontiguousarray(photo[..., ::-1]))
    video.release()
    header = ",".join(f"{axis}{point}" for point in range(5) for axis in "xy")
    points = "0.3,0.4,0.7,0.4,0.5,0.6,0.35,0.8,0.65,0.8"
    (home / "points.csv").write_text("\n".join(["image," + header, f"train/happy/12.png,{points}"]) + "\n")


def _write_photos(folder: Path, margin: int, emotions: Sequence[str] = FER7.names, number: int = 8) -> None:
    for emotion in emotions:
        for index in range(number):
            save(folder / emotion / f"{index}.jpg", _photo(FER7.names.index(emotion), margin, index))


def _photo(target: int, margin: int, index: int = 0) -> np.ndarray:
    face = render_face(face_at(0, target, index, 0.0)[0], 96)[0]
    face = face if face.ndim == 3 else np.repeat(face[..., None], 3, 2)
    return cv2.copyMakeBorder(face, *[margin] * 4, cv2.BORDER_REPLICATE)
