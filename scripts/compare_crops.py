"""Compare crop rules by the accuracy of a model on upright and rotated images.

    uv run python scripts/compare_crops.py ~/data/fer2013.csv --detector-model yunet.onnx [--model RUN/bundle]

The images of PublicTest are enlarged and rotated to either side by the given angles. YuNet detects the faces,
and each is cropped by each rule and classified. `uncropped` is the rotated image of the data set, which
training used without rotation. The last column is the accuracy of the upright box minus that of the five
landmarks, in percentage points, on the same faces, with the 95 % interval of the paired difference.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from measure_crop_rule import enlarge_with_border

from fer.core.command_line import run_command


def load_images_and_targets(path):
    from fer.data.cache import cached, file_key
    from fer.data.readers.fer2013 import VERSION, read_fer2013

    data = cached(file_key(path, "fer2013", VERSION), lambda: read_fer2013(path))
    rows = np.flatnonzero(data.split == data.split_names.index(data.roles["val"]))
    return [np.array(data.images[int(row)]) for row in rows], np.array(data.targets)[rows], data.labels


def rotate(image, degrees):
    """Return an image enlarged, with a border, and rotated; and the width of the border."""
    large, border, _ = enlarge_with_border(image)
    center = (len(large) / 2 - 0.5,) * 2
    matrix = cv2.getRotationMatrix2D(center, degrees, 1)
    return cv2.warpAffine(large, matrix, large.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), border


def croppers(side):
    """Return rule -> function that crops a face, given the image, its border and the face."""
    from fer.bundle.card import CROP_RULES, REFERENCE_LANDMARKS
    from fer.faces.crop import crop_faces

    boxes = CROP_RULES["fer2013"]
    rules = {
        "five points": replace(boxes, points=REFERENCE_LANDMARKS),
        "box": replace(boxes, upright=False),
        "box, upright": boxes,
    }
    by_rule = {
        name: lambda image, _, face, rule=rule: crop_faces(image, [face], rule, side)[0]
        for name, rule in rules.items()
    }
    return {
        "uncropped": lambda image, border, _: shrink(image[border:-border, border:-border], side)
    } | by_rule


def shrink(image, side):
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)


def compare(arguments):
    from fer import Predictor
    from fer.core.labels import check_same_labels

    predictor = Predictor(arguments.model, detector="yunet", detector_model=arguments.detector_model)
    images, targets, labels = load_images_and_targets(arguments.path)
    check_same_labels(labels, predictor.card.labels, str(arguments.model))
    crop_functions = croppers(predictor.card.image_size)
    print(f"| rotated by | faces detected | {' | '.join(crop_functions)} | difference |")
    print(f"|{'---|' * (3 + len(crop_functions))}")
    for angle in arguments.angles:
        crops, detected = {name: [] for name in crop_functions}, []
        for position, image in enumerate(images):
            large, border = rotate(image, angle if position % 2 else -angle)
            for face in predictor.detector(large)[:1]:
                detected.append(position)
                for name, crop in crop_functions.items():
                    crops[name].append(crop(large, border, face))
        correct = {name: predict(predictor, faces) == targets[detected] for name, faces in crops.items()}
        accuracies = " | ".join(f"{is_correct.mean():.1%}" for is_correct in correct.values())
        difference = paired_difference(correct["box, upright"], correct["five points"])
        print(f"| {angle}° | {len(detected):,} | {accuracies} | {difference} |", flush=True)


def paired_difference(first, second):
    """Return the mean difference of two Boolean arrays, in percentage points, with its 95 % interval."""
    differences = 100.0 * (first.astype(int) - second.astype(int))
    half = 1.96 * differences.std(ddof=1) / len(differences) ** 0.5
    return f"{differences.mean():+.1f} [{differences.mean() - half:+.1f}, {differences.mean() + half:+.1f}]"


def predict(predictor, faces):
    """Return the predicted class of each face."""
    return predictor.classifier(np.stack(faces)).argmax(1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="fer2013.csv")
    parser.add_argument("--detector-model", type=Path, required=True, help="model file of YuNet")
    parser.add_argument("--model", help="bundle folder or model name (default: the model of the package)")
    parser.add_argument("--angles", type=int, nargs="+", default=[0, 15, 30], metavar="DEGREES")
    arguments = parser.parse_args()
    raise SystemExit(run_command(lambda: compare(arguments)))


if __name__ == "__main__":
    main()
