"""Measure how faces lie in a set of small pictures, and print the crop rule that cuts new faces out alike.

uv run python scripts/measure_crop_rule.py ~/data/fer2013.csv --detector-model yunet.onnx
uv run python scripts/measure_crop_rule.py --synthetic                    # drawn faces, by their true points

Training pictures alone are looked at. YuNet gives the five points; the boxes are those of each detector that
is installed.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from fer.cli import run_command

ENLARGED = 4  # times: a face that fills 48 pixels is small for a detector
BORDER = 0.5  # of the side, on each side: the edge repeated, for faces that fill the picture


def framed(picture):
    """Return a picture ``(S, S, 1)`` enlarged, RGB, with a border around it, and the border's width."""
    side = len(picture) * ENLARGED
    large = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    border = round(BORDER * side)
    gray = cv2.copyMakeBorder(large, *[border] * 4, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), border, side


def find(pictures, detector):
    """Return the largest face of each picture where there is one: boxes and points as shares of the side."""
    boxes, points = [], []
    for picture in pictures:
        large, border, side = framed(picture)
        for face in detector(large)[:1]:
            boxes.append((np.array(face.box) - [border, border, 0, 0]) / side)
            points.append(None if face.points is None else (face.points - border) / side)
    return np.array(boxes), np.array([each for each in points if each is not None])


def rolls(points):
    """Return how far the line through the eyes is turned, in degrees."""
    across = points[:, 1] - points[:, 0]
    return np.degrees(np.arctan2(across[:, 1], across[:, 0]))


def say(name, values):
    low, middle, high = np.percentile(values, [10, 50, 90])
    print(f"{name:28} median {middle:7.3f}, one in ten below {low:7.3f}, one in ten above {high:7.3f}")


def report_points(points, count):
    print(f"points: {len(points):,} of {count:,} pictures")
    for number, name in enumerate(("right eye", "left eye", "nose", "right mouth", "left mouth")):
        for axis, letter in enumerate("xy"):
            say(f"{name}, {letter}", points[:, number, axis])
    roll = rolls(points)
    say("turn of the eyes, degrees", roll)
    say("and without its sign", np.abs(roll))
    say("between the eyes", np.linalg.norm(points[:, 1] - points[:, 0], axis=1))
    middle = np.round(np.median(points, axis=0), 4)
    print("points =", tuple(map(tuple, middle.tolist())))
    print("made symmetrical =", tuple(map(tuple, symmetrical(middle).tolist())))


def symmetrical(points):
    """Return the mean of the points and their mirror image: a face at rest leans to neither side."""
    mirrored = points[[1, 0, 2, 4, 3]] * [-1, 1] + [1, 0]
    return np.round((points + mirrored) / 2, 3)


def report_boxes(name, boxes, count):
    if not len(boxes):
        print(f"boxes of {name}: 0 of {count:,} pictures")
        return
    longer = boxes[:, 2:].max(1)
    print(f"boxes of {name}: {len(boxes):,} of {count:,} pictures")
    say("longer side", longer)
    say("box_scale", 1 / longer)
    say("box_shift", (0.5 - boxes[:, 1] - boxes[:, 3] / 2) / longer)
    say("and sideways", (0.5 - boxes[:, 0] - boxes[:, 2] / 2) / longer)


def training_pictures(path, most):
    from fer.data.cache import cached, file_key
    from fer.data.fer2013 import VERSION, read_fer2013

    data = cached(file_key(path, "fer2013", VERSION), lambda: read_fer2013(path))
    rows = np.flatnonzero(data.split == data.split_names.index(data.roles["train"]))
    chosen = np.random.default_rng(0).permutation(rows)[:most]
    return [np.array(data.images[int(row)]) for row in chosen]


def drawn(count):
    from fer.data.synthetic import face_at, render_face

    pairs = [render_face(face_at(0, 0, place)[0], 48, color=False) for place in range(count)]
    return [pair[0] for pair in pairs], np.array([(pair[1] + 0.5) / 48 for pair in pairs])


def detectors(arguments):
    """Yield the detectors that there are."""
    from fer.errors import FerError
    from fer.faces.choose import choose_detector

    if arguments.detector_model:
        yield choose_detector("yunet", arguments.detector_model)
    yield choose_detector("haar")
    try:
        yield choose_detector("mtcnn")
    except FerError as error:
        print(error)


def measure(arguments):
    if arguments.synthetic:
        pictures, true_points = drawn(arguments.most)
        report_points(true_points, len(pictures))
    else:
        pictures = training_pictures(arguments.path, arguments.most)
    for detector in detectors(arguments):
        boxes, points = find(pictures, detector)
        if detector.name == "yunet" and not arguments.synthetic:
            report_points(points, len(pictures))
        report_boxes(detector.name, boxes, len(pictures))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", nargs="?", type=Path, help="fer2013.csv")
    parser.add_argument("--synthetic", action="store_true", help="drawn faces in its place")
    parser.add_argument("--detector-model", type=Path, help="YuNet's file")
    parser.add_argument("--most", type=int, default=4000, help="pictures, drawn by chance (default 4000)")
    arguments = parser.parse_args()
    if not arguments.synthetic and not (arguments.path and arguments.detector_model):
        parser.error("expected a fer2013.csv and --detector-model FILE, or --synthetic")
    raise SystemExit(run_command(lambda: measure(arguments)))


if __name__ == "__main__":
    main()
