"""fer-predict for images: terminal output, JSONL, and annotated copies."""

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import TextIO

from fer.bundle.card import model_name
from fer.errors import FerError
from fer.predict import ImageResult, Predictor
from fer.predicting.copies import Sink, check_not_overwriting, copy_writer
from fer.predicting.lines import header_line, result_lines
from fer.video.screen import Progress

# At most this many unreadable files are named.
_MAX_ERRORS_SHOWN = 20
SOME_UNREADABLE, NONE_READABLE, NO_FACE = 1, 2, 3


@dataclass
class Tally:
    """Counts over the images processed so far."""

    images: int = 0
    faces: int = 0
    without_face: int = 0
    errors: list[FerError] = field(default_factory=list)

    def add(self, path: Path, result: ImageResult) -> None:
        """Count an image."""
        self.images += 1
        self.faces += len(result.predictions)
        if result.error:
            self.errors.append(result.error)
        elif not result.predictions:
            self.without_face += 1

    def status(self, strict: bool) -> int:
        """Return the exit status for these counts."""
        if self.errors:
            return NONE_READABLE if len(self.errors) == self.images else SOME_UNREADABLE
        return NO_FACE if strict and self.without_face else 0


def predict_images(files: Mapping[Path, Path], request: argparse.Namespace, predictor: Predictor) -> int:
    """Predict on images, write each result at once, and return the exit status.

    Args:
        files: Path of each image -> its path relative to the folder of annotated copies.
        request: Parsed arguments of fer-predict.
        predictor: Detects and classifies the faces.

    Raises:
        FerError: An output cannot be written; earlier results are kept.
    """
    tally = Tally()
    with ExitStack() as stack:
        sinks = [tally.add, *_outputs(stack, files, request, predictor, tally)]
        for path, result in zip(files, predictor.iter_results(files), strict=True):
            for sink in sinks:
                sink(path, result)
    return tally.status(request.strict)


def _outputs(
    stack: ExitStack,
    files: Mapping[Path, Path],
    request: argparse.Namespace,
    predictor: Predictor,
    tally: Tally,
) -> list[Sink]:
    sinks: list[Sink] = []
    # First, because it may be refused: the JSONL file of an earlier run must not be truncated before that.
    if request.annotate:
        sinks.append(copy_writer(files, Path(request.annotate), request.all))
    if request.json:
        check_not_overwriting(files, [Path(request.json)], "the JSONL output")
        sinks.insert(0, _json_sink(stack, Path(request.json), predictor))
    print(header_line(predictor), flush=True)
    # The stack calls back in reverse order: the progress line is cleared before the summary is printed.
    stack.callback(_print_summary, tally, len(files))
    sinks.append(_terminal_sink(stack, files, predictor, request.all))
    return sinks


def _json_sink(stack: ExitStack, path: Path, predictor: Predictor) -> Sink:
    """Return a sink that writes and flushes one line per image, so that an interruption loses nothing."""
    if path.suffix.lower() == ".csv":
        raise FerError(
            f"{path}: expected a .jsonl file, got .csv, which is for videos. Name it .jsonl for images."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file: TextIO = path.open("w", encoding="utf-8")
    except OSError as error:
        raise FerError(f"{path}: cannot be written ({error.strerror}). Choose another path.") from error
    stack.callback(_close, file)
    constants = {"model": model_name(predictor.card), "detector": predictor.detector.name}

    def write(image: Path, result: ImageResult) -> None:
        faces = [prediction.to_dict() for prediction in result.predictions]
        content = {"error": str(result.error)} if result.error else {"size": result.size, "faces": faces}
        try:
            file.write(json.dumps({"file": str(image), **content, **constants}) + "\n")
            file.flush()
        except OSError as error:
            raise FerError(
                f"{path}: writing failed ({error.strerror}). The lines written before are kept."
            ) from error

    return write


def _close(file: TextIO) -> None:
    """Close a file; a failed write has been reported by `write` before."""
    with suppress(OSError):
        file.close()


def _terminal_sink(
    stack: ExitStack, files: Mapping[Path, Path], predictor: Predictor, show_all: bool
) -> Sink:
    width = min(40, max(len(str(relative)) for relative in files.values()))
    emotions = predictor.card.labels.names
    progress, done = Progress("", len(files), "images"), count(1)
    stack.callback(progress.clear)

    def show(path: Path, result: ImageResult) -> None:
        progress.clear()
        for line in result_lines(str(files[path]), result, width, emotions, show_all):
            print(line, flush=True)
        progress.update(next(done))

    return show


def _print_summary(tally: Tally, total: int) -> None:
    """Print the counts, also after Ctrl-C, and at the end the unreadable files."""
    if total > 1:
        done = f"{tally.images:,}" if tally.images == total else f"{tally.images:,} of {total:,}"
        print(
            f"{done} images: {tally.faces:,} faces; without a face: {tally.without_face:,}, "
            f"unreadable: {len(tally.errors):,}",
            flush=True,
        )
    for error in tally.errors[:_MAX_ERRORS_SHOWN]:
        print(f"error: {error}", file=sys.stderr)
    if len(tally.errors) > _MAX_ERRORS_SHOWN:
        print(f"error: and {len(tally.errors) - _MAX_ERRORS_SHOWN:,} more", file=sys.stderr)
