"""Compare ways of cutting faces out: what each costs a model, on upright and on turned pictures.

    uv run python scripts/compare_crops.py ~/data/fer2013.csv --detector-model yunet.onnx [--model RUN/bundle]

PublicTest's pictures are enlarged, turned to either side by the angles asked for, and YuNet looks for the
face. All those that it finds are cut out in each way; what the model says of them is counted. `as it is` is
the picture itself, which training saw unturned. The last column is the upright box less the five points, in
points, on the same faces, with the 95 % interval of the paired difference.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from measure_crop_rule import framed

from fer.cli import run_command


def pictures_and_targets(path):
    from fer.data.cache import cached, file_key
    from fer.data.fer2013 import VERSION, read_fer2013

    data = cached(file_key(path, "fer2013", VERSION), lambda: read_fer2013(path))
    rows = np.flatnonzero(data.split == data.split_names.index(data.roles["val"]))
    return [np.array(data.images[int(row)]) for row in rows], np.array(data.targets)[rows], data.labels


def turned(picture, degrees):
    """Return a picture enlarged within a border and turned, and the border."""
    large, border, _ = framed(picture)
    middle = (len(large) / 2 - 0.5,) * 2
    way = cv2.getRotationMatrix2D(middle, degrees, 1)
    return cv2.warpAffine(large, way, large.shape[1::-1], borderMode=cv2.BORDER_REPLICATE), border


def ways(side):
    """Return a function from a picture, its border and its face to the face cut out, for each way."""
    from fer.bundle.card import REFERENCE_LANDMARKS
    from fer.faces.crop import crop_faces
    from fer.faces.rules import CROP_RULES

    boxes = CROP_RULES["fer2013"]
    rules = {
        "five points": replace(boxes, points=REFERENCE_LANDMARKS),
        "box": replace(boxes, upright=False),
        "box, upright": boxes,
    }
    cutting = {
        name: lambda picture, _, face, rule=rule: crop_faces(picture, [face], rule, side)[0]
        for name, rule in rules.items()
    }
    return {
        "as it is": lambda picture, border, _: shrunk(picture[border:-border, border:-border], side)
    } | cutting


def shrunk(picture, side):
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def compare(arguments):
    from fer import Predictor
    from fer.labels import check_same_labels

    predictor = Predictor(arguments.model, detector="yunet", detector_model=arguments.detector_model)
    pictures, targets, labels = pictures_and_targets(arguments.path)
    check_same_labels(labels, predictor.card.labels, str(arguments.model))
    cutters = ways(predictor.card.image_size)
    print(f"| turned by | faces found | {' | '.join(cutters)} | difference |\n|{'---|' * (3 + len(cutters))}")
    for angle in arguments.angles:
        crops, found = {name: [] for name in cutters}, []
        for place, picture in enumerate(pictures):
            large, border = turned(picture, angle if place % 2 else -angle)
            for face in predictor.detector(large)[:1]:
                found.append(place)
                for name, cut in cutters.items():
                    crops[name].append(cut(large, border, face))
        right = {name: answers(predictor, faces) == targets[found] for name, faces in crops.items()}
        shares = " | ".join(f"{one.mean():.1%}" for one in right.values())
        difference = paired(right["box, upright"], right["five points"])
        print(f"| {angle}° | {len(found):,} | {shares} | {difference} |", flush=True)


def paired(one, other):
    """Return the mean difference of two columns of 0 and 1, in points, with its 95 % interval."""
    gaps = 100.0 * (one.astype(int) - other.astype(int))
    half = 1.96 * gaps.std(ddof=1) / len(gaps) ** 0.5
    return f"{gaps.mean():+.1f} [{gaps.mean() - half:+.1f}, {gaps.mean() + half:+.1f}]"


def answers(predictor, faces):
    """Return what the model says of each face."""
    return predictor.classifier(np.stack(faces)).argmax(1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="fer2013.csv")
    parser.add_argument("--detector-model", type=Path, required=True, help="YuNet's file")
    parser.add_argument(
        "--model", help="bundle, or name of one (default: the one that comes with the package)"
    )
    parser.add_argument("--angles", type=int, nargs="+", default=[0, 15, 30], metavar="DEGREES")
    arguments = parser.parse_args()
    raise SystemExit(run_command(lambda: compare(arguments)))


if __name__ == "__main__":
    main()
