"""Write datasets of image files in the supported layouts, from synthetic faces."""

import functools
from pathlib import Path

import cv2
import numpy as np

from fer.core.labels import AFFECTNET8, RAFDB7, mapping
from fer.data.synthetic import read_synthetic

SIDE = 48
HEADER = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


@functools.cache
def faces():
    """Return 28 training and 14 test faces, RGB (four and two per emotion), and the role of each."""
    data = read_synthetic(28, 0, 14, size=SIDE, color=True, num_workers=1)
    return data, [["train", "val", "test"][number] for number in data.split]


def save(path, image):
    """Write an RGB or gray image in the format of the suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = cv2.imencode(path.suffix, image[..., ::-1] if image.ndim == 3 else image)[1]
    path.write_bytes(content.tobytes())


def write_folder(root, suffix=".png", rename=str):
    """Write ``train/angry/00.png`` and so on."""
    data, roles = faces()
    for i, (image, target, role) in enumerate(zip(data.images, data.targets, roles, strict=True)):
        save(Path(root) / role / rename(data.labels.names[target]) / f"{i:02}{suffix}", image)
    return Path(root)


def write_rafdb(root, labels=".", images="aligned"):
    """Write ``list_patition_label.txt`` and ``aligned/train_00001_aligned.jpg``."""
    data, roles = faces()
    numbers = mapping(data.labels, RAFDB7)[data.targets] + 1
    lines = []
    for i, (image, number, role) in enumerate(zip(data.images, numbers, roles, strict=True), 1):
        save(Path(root) / images / f"{role}_{i:05}_aligned.jpg", image)
        lines.append(f"{role}_{i:05}.jpg {number}\n")
    (Path(root) / labels).mkdir(exist_ok=True)
    (Path(root) / labels / "list_patition_label.txt").write_text("".join(lines))
    return Path(root)


def affectnet_numbers():
    """Return images, AffectNet expression numbers (every ninth is not an emotion) and roles."""
    data, roles = faces()
    numbers = mapping(data.labels, AFFECTNET8)[data.targets]
    numbers[::9] = np.resize([8, 9, 10], len(numbers[::9]))
    return data.images, numbers, ["train" if role == "train" else "val" for role in roles]


def write_affectnet_lists(root):
    """Write ``training.csv``, ``validation.csv`` without a header, and images with a margin around faces."""
    images, numbers, roles = affectnet_numbers()
    lines = {"train": [HEADER], "val": []}
    for i, (image, number, role) in enumerate(zip(images, numbers, roles, strict=True)):
        margin = cv2.copyMakeBorder(image, 10, 30, 20, 20, cv2.BORDER_CONSTANT, value=(255, 0, 0))
        save(Path(root) / "Manually_Annotated_Images" / str(i % 3) / f"{i}.png", margin)
        lines[role].append(f"{i % 3}/{i}.png,20,10,{SIDE},{SIDE},1.5;2.5,{number},-0.1,0.2")
    (Path(root) / "training.csv").write_text("\n".join(lines["train"]))
    (Path(root) / "validation.csv").write_text("\n".join(lines["val"]))
    return Path(root)


def write_affectnet_folders(root):
    """Write ``train_set/images/0.jpg`` with ``train_set/annotations/0_exp.npy``, and ``val_set``."""
    for i, (image, number, role) in enumerate(zip(*affectnet_numbers(), strict=True)):
        save(Path(root) / f"{role}_set" / "images" / f"{i}.jpg", image)
        annotations = Path(root) / f"{role}_set" / "annotations"
        annotations.mkdir(exist_ok=True)
        np.save(annotations / f"{i}_exp.npy", np.array(str(number)) if i % 2 else np.array(number))
        np.save(annotations / f"{i}_val.npy", np.array("0.5"))
    return Path(root)


LAYOUTS = {"folder": write_folder, "rafdb": write_rafdb, "affectnet": write_affectnet_lists}
