"""Compare the face detectors on photographs and synthetic faces: detections, time, and landmark error.

uv run python scripts/measure_detectors.py ~/photos --detector-model yunet.onnx
uv run python scripts/measure_detectors.py ~/photos --sheet faces.png      # faces cropped as in FER2013

Times are the CPU time of one thread, as the median over photographs. Distances of landmarks are fractions of
the distance between the eyes.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer.core.command_line import run_command
from fer.core.errors import FerError

EYES = slice(0, 2)


def detect_all(detector, images):
    """Return the faces of each image, and the milliseconds per image."""
    faces, times = [], []
    # Warm-up: the first call allocates memory.
    detector(images[0])
    for image in images:
        start = time.thread_time()
        faces.append(detector(image))
        times.append(1000 * (time.thread_time() - start))
    return faces, times


def distance(points, truth):
    """Return the distances of landmarks from the true ones, as fractions of the distance between the eyes."""
    eyes = np.linalg.norm(np.subtract(*truth[EYES]))
    return np.linalg.norm(points - truth, axis=1) / eyes


def load_detectors(model_file):
    from fer.faces.detectors import choose_detector

    by_name = {"haar": choose_detector("haar")}
    try:
        by_name = {"yunet": choose_detector("yunet", model_file)} | by_name
        by_name["mtcnn"] = choose_detector("mtcnn")
    except FerError as error:
        print(error)
    return by_name


def compare(detected, name, other):
    pairs = [
        (a[0].points, b[0].points) for a, b in zip(detected[name], detected[other], strict=True) if a and b
    ]
    distances = np.array([distance(*pair) for pair in pairs])
    print(f"{name} and {other}: {len(pairs)} faces, median distance of "
          f"eyes {np.median(distances[:, :2]):.3f}, nose {np.median(distances[:, 2]):.3f}, "
          f"mouth {np.median(distances[:, 3:]):.3f} of the distance between the eyes")  # fmt: skip


def compare_on_photographs(by_name, images):
    detected = {}
    for name, detector in by_name.items():
        detected[name], times = detect_all(detector, images)
        hits = sum(bool(faces) for faces in detected[name])
        more = sum(max(0, len(faces) - 1) for faces in detected[name])
        print(f"{name:6} detects a face in {hits} of {len(images)} photographs, {more} more faces, "
              f"{np.median(times):.1f} ms")  # fmt: skip
    if {"yunet", "mtcnn"} <= set(detected):
        compare(detected, "mtcnn", "yunet")
    return detected


def measure_on_synthetic_faces(by_name, count):
    """Print detections and landmark error on synthetic faces, frontal and clear, inside a larger image."""
    from fer.data.synthetic import face_at, render_face

    rendered = [render_face(face_at(0, 0, position, 0.0)[0], 192) for position in range(count)]
    framed = [cv2.copyMakeBorder(image, *[64] * 4, cv2.BORDER_REPLICATE) for image, _ in rendered]
    for name, detector in by_name.items():
        detected, _ = detect_all(detector, framed)
        pairs = [
            (faces[0].points, points + 64.5)
            for faces, (_, points) in zip(detected, rendered, strict=True)
            if faces
        ]
        line = f"{name:6} {len(pairs)} of {count} synthetic faces"
        if pairs and pairs[0][0] is not None:
            distances = np.array([distance(*pair) for pair in pairs])
            shift = np.mean([points - truth for points, truth in pairs], axis=(0, 1))
            line += f", landmark error: median {np.median(distances):.3f} of the distance between the eyes"
            line += f", mean offset {shift.round(2).tolist()} pixels of 320"
        print(line)


def measure_on_frames(by_name, images):
    """Print detections and time for photographs of several heights inside a 640 x 480 frame."""
    for height in (240, 100, 70):
        frames = [place_in_frame(image, height) for image in images]
        for name, detector in by_name.items():
            detected, times = detect_all(detector, frames)
            hits = sum(bool(faces) for faces in detected)
            print(
                f"{name:6} 640 x 480, photographs {height} high: {hits} detected, {np.median(times):.1f} ms"
            )


def place_in_frame(image, height):
    scale = height / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    empty = np.full((480, 640, 3), 127, np.uint8)
    top, left = 240 - len(small) // 2, 320 - small.shape[1] // 2
    empty[top : top + small.shape[0], left : left + small.shape[1]] = small
    return empty


def draw_sheet(images, detected, path):
    from fer.bundle.card import CROP_RULES
    from fer.faces.crop import crop_faces

    faces = [crop_faces(image, in_image[:1], CROP_RULES["fer2013"], 48)[0]
             for image, in_image in zip(images, detected, strict=True) if in_image]  # fmt: skip
    faces += [np.zeros((48, 48, 3), np.uint8)] * (-len(faces) % 12)
    Image.fromarray(np.vstack([np.hstack(faces[at : at + 12]) for at in range(0, len(faces), 12)])).save(path)


def measure(arguments):
    from fer.core.image_io import read_image
    from fer.predict.sources import list_image_files

    cv2.setNumThreads(1)
    images = [read_image(path) for path in list_image_files(arguments.photographs)]
    by_name = load_detectors(arguments.detector_model)
    detected = compare_on_photographs(by_name, images)
    if arguments.sheet:
        draw_sheet(images, next(iter(detected.values())), arguments.sheet)
    measure_on_synthetic_faces(by_name, 100)
    measure_on_frames(by_name, images)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, help="folder of photographs with one face each")
    parser.add_argument("--detector-model", type=Path, help="model file of YuNet")
    parser.add_argument(
        "--sheet", type=Path, help="write the faces cropped by the first detector to this file"
    )
    arguments = parser.parse_args()
    raise SystemExit(run_command(lambda: measure(arguments)))


if __name__ == "__main__":
    main()
