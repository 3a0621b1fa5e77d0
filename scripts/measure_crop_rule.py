"""Measure the position of faces in the images of a data set, and print the matching crop rule.

uv run python scripts/measure_crop_rule.py ~/data/fer2013.csv --detector-model yunet.onnx
uv run python scripts/measure_crop_rule.py --synthetic              # synthetic faces, by their true landmarks

Only training images are used. YuNet detects the five landmarks; boxes are measured for each installed
detector.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from fer.core.command_line import run_command

# Enlargement factor: a face of 48 pixels is small for a detector.
ENLARGED = 4
# Width of the border, as a fraction of the side: detectors miss faces that fill the image.
BORDER = 0.5


def enlarge_with_border(image):
    """Return an image ``(S, S, 1)`` enlarged, as RGB with a border; the border's width; the inner side."""
    side = len(image) * ENLARGED
    large = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    border = round(BORDER * side)
    gray = cv2.copyMakeBorder(large, *[border] * 4, cv2.BORDER_REPLICATE)
    return cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), border, side


def detect_faces(images, detector):
    """Return boxes and landmarks of the largest face of each image that has one, as fractions of the side."""
    boxes, points = [], []
    for image in images:
        large, border, side = enlarge_with_border(image)
        for face in detector(large)[:1]:
            boxes.append((np.array(face.box) - [border, border, 0, 0]) / side)
            points.append(None if face.points is None else (face.points - border) / side)
    return np.array(boxes), np.array([landmarks for landmarks in points if landmarks is not None])


def roll_angles(points):
    """Return the rotation of the line through the eyes, in degrees."""
    eye_line = points[:, 1] - points[:, 0]
    return np.degrees(np.arctan2(eye_line[:, 1], eye_line[:, 0]))


def print_quantiles(name, values):
    low, median, high = np.percentile(values, [10, 50, 90])
    print(f"{name:28} median {median:7.3f}, 10 % below {low:7.3f}, 10 % above {high:7.3f}")


def report_points(points, count):
    print(f"landmarks: {len(points):,} of {count:,} images")
    for number, name in enumerate(("right eye", "left eye", "nose", "right mouth", "left mouth")):
        for axis, letter in enumerate("xy"):
            print_quantiles(f"{name}, {letter}", points[:, number, axis])
    roll = roll_angles(points)
    print_quantiles("rotation of the eyes, degrees", roll)
    print_quantiles("absolute rotation", np.abs(roll))
    print_quantiles("distance of the eyes", np.linalg.norm(points[:, 1] - points[:, 0], axis=1))
    median = np.round(np.median(points, axis=0), 4)
    print("points =", tuple(map(tuple, median.tolist())))
    print("symmetrical =", tuple(map(tuple, symmetrise(median).tolist())))


def symmetrise(points):
    """Return the mean of the landmarks and their mirror image, because a face at rest is symmetrical."""
    mirrored = points[[1, 0, 2, 4, 3]] * [-1, 1] + [1, 0]
    return np.round((points + mirrored) / 2, 3)


def report_boxes(name, boxes, count):
    if not len(boxes):
        print(f"boxes of {name}: 0 of {count:,} images")
        return
    longer = boxes[:, 2:].max(1)
    print(f"boxes of {name}: {len(boxes):,} of {count:,} images")
    print_quantiles("longer side", longer)
    print_quantiles("box_scale", 1 / longer)
    print_quantiles("box_shift", (0.5 - boxes[:, 1] - boxes[:, 3] / 2) / longer)
    print_quantiles("horizontal shift", (0.5 - boxes[:, 0] - boxes[:, 2] / 2) / longer)


def load_training_images(path, max_images):
    from fer.data.cache import cached, file_key
    from fer.data.readers.fer2013 import VERSION, read_fer2013

    data = cached(file_key(path, "fer2013", VERSION), lambda: read_fer2013(path))
    rows = np.flatnonzero(data.split == data.split_names.index(data.roles["train"]))
    chosen = np.random.default_rng(0).permutation(rows)[:max_images]
    return [np.array(data.images[int(row)]) for row in chosen]


def render_faces(count):
    from fer.data.synthetic import face_at, render_face

    pairs = [render_face(face_at(0, 0, position)[0], 48, color=False) for position in range(count)]
    return [pair[0] for pair in pairs], np.array([(pair[1] + 0.5) / 48 for pair in pairs])


def detectors(arguments):
    """Yield the available detectors."""
    from fer.core.errors import FerError
    from fer.faces.detectors import choose_detector

    if arguments.detector_model:
        yield choose_detector("yunet", arguments.detector_model)
    yield choose_detector("haar")
    try:
        yield choose_detector("mtcnn")
    except FerError as error:
        print(error)


def measure(arguments):
    if arguments.synthetic:
        images, true_points = render_faces(arguments.most)
        report_points(true_points, len(images))
    else:
        images = load_training_images(arguments.path, arguments.most)
    for detector in detectors(arguments):
        boxes, points = detect_faces(images, detector)
        if detector.name == "yunet" and not arguments.synthetic:
            report_points(points, len(images))
        report_boxes(detector.name, boxes, len(images))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", nargs="?", type=Path, help="fer2013.csv")
    parser.add_argument("--synthetic", action="store_true", help="measure synthetic faces instead")
    parser.add_argument("--detector-model", type=Path, help="model file of YuNet")
    parser.add_argument(
        "--most", type=int, default=4000, help="maximum number of random images (default 4000)"
    )
    arguments = parser.parse_args()
    if not arguments.synthetic and not (arguments.path and arguments.detector_model):
        parser.error("expected a fer2013.csv and --detector-model FILE, or --synthetic")
    raise SystemExit(run_command(lambda: measure(arguments)))


if __name__ == "__main__":
    main()
