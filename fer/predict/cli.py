"""fer-predict: predict the emotion of each face in images, a video or the webcam."""

import argparse
import math
import sys
from collections.abc import Sequence

from fer.core.command_line import command_parser, number, positive_integer, run_command
from fer.core.device import add_device_option

_EXAMPLES = """examples:
  fer-predict photo.jpg                                       with the model that comes with the package
  fer-predict ~/photos --csv out.csv --annotate annotated     all images in a folder and its subfolders
  fer-predict faces/ --detector none                          images that are cropped faces already
  fer-predict photo.jpg --model RUN/bundle --all              with your own model (from fer-export RUN)
  fer-predict photo.jpg --model hf:owner/name@v1              from the Hugging Face Hub, then from its cache
  fer-predict clip.mp4 --annotate clip_out.mp4 --csv clip.csv
  fer-predict - --json - < photo.jpg                          from standard input to standard output
  fer-predict 0                                               the first webcam; stop with Ctrl-C
  fer-predict rtsp://camera/stream                            a network camera; a video by http:// as well

exit status:
  0  success, also if an image has no face
  1  some images could not be read (listed at the end); the others are done
  2  nothing was done: an error in the command, or no image could be read
  3  with --strict: an image has no face

Each line of out.jsonl is {"file", "size", "faces", "model", "detector"} or, if the image could not be read,
{"file", "error", "model", "detector"}. A face is {"face", "box", "rotation", "score", "points", "label",
"confidence", "uncertain", "probabilities"}. "face" is its number, the same in all outputs: by rows, from left
to right. "rotation" is not 0 if the face was found only after turning the image by these degrees, clockwise.
Lengths are in pixels; a box is left, top, width, height; points are right eye, left eye, nose, right and left
mouth corner (the person's own right). For a video, each line is one face in one frame: {"frame", "seconds",
"face", "box", "label", "confidence", "uncertain", "probabilities"}.

A prediction is uncertain if its confidence is below the threshold on the model's card, or --threshold.
Weights trained on FER2013, such as those that come with the package, are for research only. An expression is
not a feeling: do not use the predictions to make decisions about people."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command = command_parser(
        "fer-predict",
        "Detect the faces in images, a video or the webcam, and predict the emotion of each.",
        _EXAMPLES,
    )
    command.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="images, folders, a video or its address, a webcam (0), - (an image on standard input)",
    )
    command.add_argument(
        "--model",
        metavar="BUNDLE",
        help="folder of a bundle, name of a model, or hf:owner/name[@revision] on the Hugging Face Hub",
    )
    command.add_argument(
        "--detector",
        default="auto",
        choices=("auto", "yunet", "haar", "mtcnn", "none"),
        help="face detector (default: yunet if its model file is found, else haar)",
    )
    command.add_argument("--detector-model", metavar="FILE", help="model file of the detector (yunet)")
    command.add_argument(
        "--threshold",
        type=number("a confidence between 0 and 1", lambda value: 0 <= value <= 1),
        metavar="P",
        help="a prediction with a confidence below P (0 to 1) is uncertain (default: the model's card)",
    )
    command.add_argument(
        "--json",
        metavar="FILE",
        help="write JSONL, one line per image; for a video one per face and frame; - is standard output",
    )
    command.add_argument("--csv", metavar="FILE", help="write CSV, one row per face; likewise")
    command.add_argument(
        "--annotate",
        metavar="DIR",
        help="write annotated copies into this folder; for one image or a video, the name of a file",
    )
    command.add_argument("--strict", action="store_true", help="exit with status 3 if an image has no face")
    show_all = "show the probabilities of all emotions; of a video, in its copy"
    command.add_argument("--all", action="store_true", help=show_all)
    command.add_argument(
        "--smooth",
        type=number("a number of seconds of at least 0", lambda value: 0 <= value < math.inf),
        metavar="S",
        help="videos: smooth the probabilities of a face over S seconds (default: 0.5; 0: no smoothing)",
    )
    add_device_option(command)
    command.add_argument(
        "--threads", type=positive_integer, metavar="N", help="CPU threads (default: all cores)"
    )
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fer-predict`` and exit."""
    request = parser().parse_args(arguments)
    # File names may not be valid in the terminal's encoding.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    status = 0

    def predict() -> None:
        nonlocal status
        # Imported here to keep --help fast: it loads OpenCV and ONNX Runtime.
        from fer.predict.sources import predict_sources

        status = predict_sources(
            request.sources,
            model=request.model,
            detector=request.detector,
            detector_model=request.detector_model,
            threshold=request.threshold,
            json=request.json,
            csv=request.csv,
            annotate=request.annotate,
            strict=request.strict,
            show_all=request.all,
            smooth=request.smooth,
            threads=request.threads,
            device=request.device,
        )

    sys.exit(run_command(predict) or status)


if __name__ == "__main__":
    main()
