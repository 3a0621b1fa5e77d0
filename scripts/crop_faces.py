"""Crop the faces of a folder of photographs into a data set, and report photographs without a face.

uv run python scripts/crop_faces.py ~/photos ~/faces --size 48
uv run python scripts/crop_faces.py ~/photos ~/faces --rule fer2013 --detector-model yunet.onnx

The subfolders are the same as those of the photographs. The largest face of each photograph is written as
PNG. `faces.csv` in the new folder lists each photograph with its number of faces and the detection score, or
the reason why it was not cropped.
"""

import argparse
import csv
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fer.core.command_line import run_command
from fer.core.errors import FerError
from fer.core.paths import expand_user
from fer.core.threads import available_cores

LIST = "faces.csv"
COLUMNS = ("photograph", "result", "faces", "score", "face", "reason")
CROPPED, NO_FACE, UNREADABLE = "cut", "no face", "unreadable"


def crop(source, path, target, detector, rule, size):
    """Crop and write the largest face of a photograph, and return its row of the list."""
    from PIL import Image

    from fer.core.image_io import read_image
    from fer.faces.crop import crop_faces

    row = dict.fromkeys(COLUMNS, "") | {"photograph": str(path.relative_to(source))}
    try:
        image = read_image(path)
    except FerError as error:
        return row | {"result": UNREADABLE, "reason": str(error)}
    faces = detector(image)
    if not faces:
        return row | {"result": NO_FACE, "faces": 0}
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(crop_faces(image, faces[:1], rule, size)[0]).save(target)
    return row | {
        "result": CROPPED,
        "faces": len(faces),
        "score": f"{faces[0].score:.3f}",
        "face": target.name,
    }


def targets(files, source, into):
    """Yield the output path of each face; its name includes the suffix if stems are not unique."""
    stems, taken = Counter(path.with_suffix("") for path in files), set()
    for path in files:
        name = path.stem if stems[path.with_suffix("")] == 1 else path.name
        while (target := into / path.parent.relative_to(source) / f"{name}.png") in taken:
            name += "_"
        taken.add(target)
        yield target


def prepare(source, into):
    """Create the output folder and return the paths of the photographs.

    Raises:
        FerError: There are no photographs, or the output folder is not empty or is inside their folder.
    """
    from fer.predict.sources import list_image_files

    if into.resolve().is_relative_to(source.resolve()):
        raise FerError(f"{into}: expected a folder outside {source}, got one inside it. Choose another.")
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise FerError(f"{into}: expected a new or empty folder. Choose another name, or remove it.")
    files = list_image_files(source)
    into.mkdir(parents=True, exist_ok=True)
    return files


def run(arguments):
    from fer.bundle.card import CROP_RULES
    from fer.faces.detectors import choose_detector
    from fer.predict.sources import count_other_files

    detector = choose_detector(arguments.detector, arguments.detector_model)
    source, into = expand_user(arguments.photographs), expand_user(arguments.into)
    files = prepare(source, into)
    print(f"{len(files):,} photographs, detector {detector.name}")
    jobs = zip(files, targets(files, source, into), strict=True)
    rule, counts, unreadable = CROP_RULES[arguments.rule], Counter(), []
    with (
        ThreadPoolExecutor(available_cores()) as pool,
        (into / LIST).open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        start = time.monotonic()
        rows = pool.map(lambda job: crop(source, *job, detector, rule, arguments.size), jobs)
        for row in rows:
            writer.writerow(row)
            counts[row["result"]] += 1
            counts["several"] += row["result"] == CROPPED and row["faces"] > 1
            unreadable += [row["reason"]] if row["result"] == UNREADABLE else []
            show_progress(counts, len(files), start)
    report(counts, unreadable, count_other_files(source), into)


def show_progress(counts, total, start):
    done = counts[CROPPED] + counts[NO_FACE] + counts[UNREADABLE]
    if done == total or done % 100 == 0:
        print(f"{done:,} of {total:,}, {done / (time.monotonic() - start):.0f} per second", flush=True)


def report(counts, unreadable, others, into):
    print(
        f"{counts[CROPPED]:,} faces in {into} ({counts['several']:,} from photographs "
        "with several faces: the largest)"
    )
    print(f"{counts[NO_FACE]:,} photographs without a detected face, {len(unreadable):,} unreadable")
    for reason in unreadable[:20]:
        print(f"  {reason}")
    if len(unreadable) > 20:
        print(f"  and {len(unreadable) - 20:,} more")
    if others:
        kinds = ", ".join(f"{number:,} {suffix}" for suffix, number in others.items())
        print(f"skipped: {kinds}; convert images to JPEG or PNG")
    print(f"Results of all photographs: {into / LIST}")
    if not counts[CROPPED]:
        raise FerError(f"{into}: no face was detected in any photograph. Try another --detector.")


def main():
    from fer.bundle.card import CROP_RULES
    from fer.faces.detectors import DETECTORS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, help="folder of photographs, with its subfolders")
    parser.add_argument("into", type=Path, help="new folder for the faces")
    parser.add_argument("--size", type=int, default=48, help="side of the faces in pixels (default 48)")
    parser.add_argument("--rule", choices=CROP_RULES, default="fer2013",
                        help="crop rule of this data set (default fer2013: square, loose)")  # fmt: skip
    parser.add_argument("--detector", choices=DETECTORS, default="auto", help="face detector (default auto)")
    parser.add_argument("--detector-model", type=Path, help="model file of YuNet")
    arguments = parser.parse_args()
    if not 8 <= arguments.size <= 4096:
        parser.error(f"--size: expected 8 to 4096 pixels, got {arguments.size}")
    sys.stdout.reconfigure(errors="backslashreplace")  # file names may not be valid text
    raise SystemExit(run_command(lambda: run(arguments)))


if __name__ == "__main__":
    main()
