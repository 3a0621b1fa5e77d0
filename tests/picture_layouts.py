"""Sets of pictures as they lie on people's disks, drawn from synthetic faces."""

import functools
from pathlib import Path

import cv2
import numpy as np

from fer.data.synthetic import read_synthetic
from fer.labels import AFFECTNET8, RAFDB7, mapping

SIDE = 48
HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


@functools.cache
def faces():
    """28 faces to train on and 14 to test on, RGB, four and two of each of seven emotions."""
    data = read_synthetic(28, 0, 14, size=SIDE, color=True, num_workers=1)
    return data, [["train", "val", "test"][part] for part in data.split]


def save(path, image):
    """Write an RGB or gray picture; the name says in which format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = cv2.imencode(path.suffix, image[..., ::-1] if image.ndim == 3 else image)[1]
    path.write_bytes(content.tobytes())


def write_folder(root, suffix=".png", rename=str):
    """``train/angry/00.png`` and so on."""
    data, parts = faces()
    for i, (image, target, part) in enumerate(zip(data.images, data.targets, parts, strict=True)):
        save(Path(root) / part / rename(data.labels.names[target]) / f"{i:02}{suffix}", image)
    return Path(root)


def write_rafdb(root, labels=".", pictures="aligned"):
    """``list_patition_label.txt`` and ``aligned/train_00001_aligned.jpg``."""
    data, parts = faces()
    numbers = mapping(data.labels, RAFDB7)[data.targets] + 1
    lines = []
    for i, (image, number, part) in enumerate(zip(data.images, numbers, parts, strict=True), 1):
        save(Path(root) / pictures / f"{part}_{i:05}_aligned.jpg", image)
        lines.append(f"{part}_{i:05}.jpg {number}\n")
    (Path(root) / labels).mkdir(exist_ok=True)
    (Path(root) / labels / "list_patition_label.txt").write_text("".join(lines))
    return Path(root)


def affectnet_numbers():
    """Expressions of the faces as AffectNet counts, every ninth face being no emotion."""
    data, parts = faces()
    numbers = mapping(data.labels, AFFECTNET8)[data.targets]
    numbers[::9] = np.resize([8, 9, 10], len(numbers[::9]))
    return data.images, numbers, ["train" if part == "train" else "val" for part in parts]


def write_affectnet_lists(root):
    """``training.csv``, ``validation.csv`` without a header, and pictures with a margin around the face."""
    images, numbers, parts = affectnet_numbers()
    lines = {"train": [HEADER], "val": []}
    for i, (image, number, part) in enumerate(zip(images, numbers, parts, strict=True)):
        margin = cv2.copyMakeBorder(image, 10, 30, 20, 20, cv2.BORDER_CONSTANT, value=(255, 0, 0))
        save(Path(root) / "Manually_Annotated_Images" / str(i % 3) / f"{i}.png", margin)
        lines[part].append(f"{i % 3}/{i}.png,20,10,{SIDE},{SIDE},1.5;2.5,{number},-0.1,0.2")
    (Path(root) / "training.csv").write_text("\n".join(lines["train"]))
    (Path(root) / "validation.csv").write_text("\n".join(lines["val"]))
    return Path(root)


def write_affectnet_folders(root):
    """``train_set/images/0.jpg`` with ``train_set/annotations/0_exp.npy``, and ``val_set``."""
    for i, (image, number, part) in enumerate(zip(*affectnet_numbers(), strict=True)):
        save(Path(root) / f"{part}_set" / "images" / f"{i}.jpg", image)
        notes = Path(root) / f"{part}_set" / "annotations"
        notes.mkdir(exist_ok=True)
        np.save(notes / f"{i}_exp.npy", np.array(str(number)) if i % 2 else np.array(number))
        np.save(notes / f"{i}_val.npy", np.array("0.5"))
    return Path(root)


LAYOUTS = {"folder": write_folder, "rafdb": write_rafdb, "affectnet": write_affectnet_lists}
