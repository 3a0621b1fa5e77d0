"""Compare the face detectors on photographs and on drawn faces: found, time, and where they put the points.

uv run python scripts/measure_detectors.py ~/photos --detector-model yunet.onnx
uv run python scripts/measure_detectors.py ~/photos --sheet faces.png      # the faces as fer2013 has them

Times are processor time of one thread, the median over photographs. Distances of points are shares of the
distance between the eyes.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from fer.cli import run_command
from fer.errors import FerError

EYES = slice(0, 2)


def look(detector, pictures):
    """Return the faces of each picture, and the milliseconds that each took."""
    found, times = [], []
    detector(pictures[0])  # the first one waits for memory
    for picture in pictures:
        start = time.thread_time()
        found.append(detector(picture))
        times.append(1000 * (time.thread_time() - start))
    return found, times


def distance(points, truth):
    """Return how far five points lie from five others, as shares of the distance between the eyes."""
    eyes = np.linalg.norm(np.subtract(*truth[EYES]))
    return np.linalg.norm(points - truth, axis=1) / eyes


def detectors(model_file):
    from fer.faces.choose import choose_detector

    chosen = {"haar": choose_detector("haar")}
    try:
        chosen = {"yunet": choose_detector("yunet", model_file)} | chosen
        chosen["mtcnn"] = choose_detector("mtcnn")
    except FerError as error:
        print(error)
    return chosen


def compare(found, name, other):
    pairs = [(a[0].points, b[0].points) for a, b in zip(found[name], found[other], strict=True) if a and b]
    gaps = np.array([distance(*pair) for pair in pairs])
    print(f"{name} and {other}: {len(pairs)} faces, median distance of "
          f"eyes {np.median(gaps[:, :2]):.3f}, nose {np.median(gaps[:, 2]):.3f}, "
          f"mouth {np.median(gaps[:, 3:]):.3f} of that between the eyes")  # fmt: skip


def on_photographs(chosen, pictures):
    found = {}
    for name, detector in chosen.items():
        found[name], times = look(detector, pictures)
        hits = sum(bool(faces) for faces in found[name])
        more = sum(max(0, len(faces) - 1) for faces in found[name])
        print(f"{name:6} a face in {hits} of {len(pictures)} photographs, {more} more faces, "
              f"{np.median(times):.1f} ms")  # fmt: skip
    if {"yunet", "mtcnn"} <= set(found):
        compare(found, "mtcnn", "yunet")
    return found


def on_drawn(chosen, count):
    """Drawn faces, frontal and clear, inside a larger picture."""
    from fer.data.synthetic import face_at, render_face

    drawn = [render_face(face_at(0, 0, place, 0.0)[0], 192) for place in range(count)]
    framed = [cv2.copyMakeBorder(picture, *[64] * 4, cv2.BORDER_REPLICATE) for picture, _ in drawn]
    for name, detector in chosen.items():
        found, _ = look(detector, framed)
        pairs = [
            (faces[0].points, points + 64.5) for faces, (_, points) in zip(found, drawn, strict=True) if faces
        ]
        line = f"{name:6} {len(pairs)} of {count} drawn faces"
        if pairs and pairs[0][0] is not None:
            gaps = np.array([distance(*pair) for pair in pairs])
            shift = np.mean([points - truth for points, truth in pairs], axis=(0, 1))
            line += f", points off by a median of {np.median(gaps):.3f} of the distance between the eyes"
            line += f", together by {shift.round(2).tolist()} pixels of 320"
        print(line)


def on_frames(chosen, pictures):
    """Photographs inside a frame of 640 x 480, at several heights."""
    for height in (240, 100, 70):
        frames = [frame(picture, height) for picture in pictures]
        for name, detector in chosen.items():
            found, times = look(detector, frames)
            hits = sum(bool(faces) for faces in found)
            print(f"{name:6} 640 x 480, photographs {height} high: {hits} found, {np.median(times):.1f} ms")


def frame(picture, height):
    scale = height / max(picture.shape[:2])
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    empty = np.full((480, 640, 3), 127, np.uint8)
    top, left = 240 - len(small) // 2, 320 - small.shape[1] // 2
    empty[top : top + small.shape[0], left : left + small.shape[1]] = small
    return empty


def draw_sheet(pictures, found, path):
    from fer.faces.crop import crop_faces
    from fer.faces.rules import CROP_RULES

    faces = [crop_faces(picture, each[:1], CROP_RULES["fer2013"], 48)[0]
             for picture, each in zip(pictures, found, strict=True) if each]  # fmt: skip
    faces += [np.zeros((48, 48, 3), np.uint8)] * (-len(faces) % 12)
    Image.fromarray(np.vstack([np.hstack(faces[at : at + 12]) for at in range(0, len(faces), 12)])).save(path)


def measure(arguments):
    from fer.picture import list_image_files, read_image

    cv2.setNumThreads(1)
    pictures = [read_image(path) for path in list_image_files(arguments.photographs)]
    chosen = detectors(arguments.detector_model)
    found = on_photographs(chosen, pictures)
    if arguments.sheet:
        draw_sheet(pictures, next(iter(found.values())), arguments.sheet)
    on_drawn(chosen, 100)
    on_frames(chosen, pictures)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, help="folder of photographs with one face each")
    parser.add_argument("--detector-model", type=Path, help="YuNet's file")
    parser.add_argument("--sheet", type=Path, help="write the faces cut out by the first detector here")
    arguments = parser.parse_args()
    raise SystemExit(run_command(lambda: measure(arguments)))


if __name__ == "__main__":
    main()
