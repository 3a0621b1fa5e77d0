"""fer-predict: which emotion does each face of a picture, a film or before the webcam show?"""

import argparse
import sys
from collections.abc import Sequence

from fer.cli import run_and_explain

_EXAMPLES = """examples:
  fer-predict photo.jpg                                       the model that comes with the package
  fer-predict ~/photos --json out.jsonl --annotate annotated  a folder and all below it
  fer-predict faces/ --detector none                          pictures that are cut-out faces already
  fer-predict photo.jpg --model RUN/bundle --all              a model of one's own (fer-export RUN)
  fer-predict clip.mp4 --annotate clip_out.mp4 --json clip.jsonl
  fer-predict 0                                               the first webcam; Ctrl-C ends

exit status:
  0  done, also where a picture shows no face
  1  some pictures could not be read (named at the end); the others are done
  2  nothing could be done: a mistake in the command, or no picture could be read
  3  with --strict: a picture shows no face

A line of out.jsonl is {"file", "size", "faces", "model", "detector"}; where the picture could not be
read, {"file", "error", "model", "detector"}. A face is {"box", "score", "points", "label", "confidence",
"uncertain", "probabilities"}; lengths are in pixels, a box is left, top, width, height, points are right
eye, left eye, nose, right and left corner of the mouth (the person's own right). Of a film, a line is a face
in a frame: {"frame", "seconds", "face", "box", "label", "confidence", "uncertain", "probabilities"}.

An answer is called uncertain below the confidence that the model's card names. Weights trained on FER2013,
such as those that come with the package, are for research only. An expression is not a feeling: do not
decide about people with it."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    words = argparse.ArgumentParser(
        "fer-predict",
        description="Find the faces in pictures, films or before a webcam and say which emotion each shows.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    words.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="pictures, folders, a film or a webcam (0)"
    )
    words.add_argument("--model", metavar="BUNDLE", help="folder of a bundle, or the name of a model")
    words.add_argument(
        "--detector",
        default="auto",
        choices=("auto", "yunet", "haar", "mtcnn", "none"),
        help="what finds the faces (default: yunet where its file is, else haar)",
    )
    words.add_argument("--detector-model", metavar="FILE", help="file of the detector (yunet)")
    words.add_argument(
        "--json",
        metavar="FILE",
        help="write the answers too, as JSONL, a line a picture; of a film (.csv too) one a face and frame",
    )
    words.add_argument(
        "--annotate",
        metavar="DIR",
        help="write copies with the answers drawn in; for one picture or a film, the name of a file",
    )
    words.add_argument(
        "--strict", action="store_true", help="a picture without a face is a failure (status 3)"
    )
    words.add_argument("--all", action="store_true", help="show how probable every emotion is")
    words.add_argument(
        "--smooth",
        type=_seconds,
        default=0.5,
        metavar="S",
        help="films: average the answers on a face over so many seconds (default: 0.5; 0: not at all)",
    )
    words.add_argument("--threads", type=_count, metavar="N", help="processor cores to use (default: all)")
    return words


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, 0 or more, got {text!r}")
    return value


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-predict`` and exit with its status."""
    request = parser().parse_args(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # file names in no encoding
    status = 0

    def predict() -> None:
        nonlocal status
        from fer.predicting.sources import predict_sources  # OpenCV and ONNX Runtime load only now

        status = predict_sources(request)

    sys.exit(run_and_explain(predict) or status)


if __name__ == "__main__":
    main()
