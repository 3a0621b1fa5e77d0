"""fer-predict on pictures: lines for people, JSONL for programs, copies with the answers drawn in."""

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
from fer.predict import Answer, Predictor
from fer.predicting.copies import Sink, spare, to_copies
from fer.predicting.lines import answer_lines, head_line
from fer.video.screen import Progress

_NAMED = 20  # of many unreadable files
SOME_UNREADABLE, NONE_READABLE, NO_FACE = 1, 2, 3


@dataclass
class Tally:
    """What came of the pictures so far."""

    pictures: int = 0
    faces: int = 0
    faceless: int = 0
    errors: list[FerError] = field(default_factory=list)

    def add(self, path: Path, answer: Answer) -> None:
        """Count a picture."""
        self.pictures += 1
        self.faces += len(answer.predictions)
        if answer.error:
            self.errors.append(answer.error)
        elif not answer.predictions:
            self.faceless += 1

    def status(self, strict: bool) -> int:
        """Return the exit status that this amounts to."""
        if self.errors:
            return NONE_READABLE if len(self.errors) == self.pictures else SOME_UNREADABLE
        return NO_FACE if strict and self.faceless else 0


def predict_pictures(files: Mapping[Path, Path], request: argparse.Namespace, predictor: Predictor) -> int:
    """Answer on pictures, one after the other as they are done; return the exit status.

    Args:
        files: Pictures, each with its place within the folder of annotated copies.
        request: The command line.
        predictor: What finds and judges the faces.

    Raises:
        FerError: An output cannot be written; what was written before is kept.
    """
    tally = Tally()
    with ExitStack() as stack:
        sinks = [tally.add, *_outputs(stack, files, request, predictor, tally)]
        for path, answer in zip(files, predictor.answers(files), strict=True):
            for sink in sinks:
                sink(path, answer)
    return tally.status(request.strict)


def _outputs(
    stack: ExitStack,
    files: Mapping[Path, Path],
    request: argparse.Namespace,
    predictor: Predictor,
    tally: Tally,
) -> list[Sink]:
    sinks: list[Sink] = []
    if request.annotate:  # it may be refused: before the lines of an earlier run give way
        sinks.append(to_copies(files, Path(request.annotate), request.all))
    if request.json:
        spare(files, [Path(request.json)], "the answers")
        sinks.insert(0, _to_json(stack, Path(request.json), predictor))
    print(head_line(predictor), flush=True)
    stack.callback(_sum_up, tally, len(files))  # after the progress is wiped away, which is called first
    sinks.append(_to_screen(stack, files, predictor, request.all))
    return sinks


def _to_json(stack: ExitStack, path: Path, predictor: Predictor) -> Sink:
    """Write a line for each picture, at once: nothing done is lost when the rest is not."""
    if path.suffix.lower() == ".csv":
        raise FerError(
            f"{path}: answers on pictures are written as JSONL; .csv is for films. Name it .jsonl."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file: TextIO = path.open("w", encoding="utf-8")
    except OSError as error:
        raise FerError(f"{path}: cannot be written ({error.strerror}). Choose another place.") from error
    stack.callback(_close, file)
    served = {"model": model_name(predictor.card), "detector": predictor.detector.name}

    def write(picture: Path, answer: Answer) -> None:
        faces = [prediction.to_dict() for prediction in answer.predictions]
        told = {"error": str(answer.error)} if answer.error else {"size": answer.size, "faces": faces}
        try:
            file.write(json.dumps({"file": str(picture), **told, **served}) + "\n")
            file.flush()
        except OSError as error:
            raise FerError(
                f"{path}: cannot be written on ({error.strerror}); the lines before are kept."
            ) from error

    return write


def _close(file: TextIO) -> None:
    """Close a file of which every line was written by then, or its failure told."""
    with suppress(OSError):
        file.close()


def _to_screen(stack: ExitStack, files: Mapping[Path, Path], predictor: Predictor, every: bool) -> Sink:
    width = min(40, max(len(str(within)) for within in files.values()))
    emotions = predictor.card.labels.names
    progress, done = Progress("", len(files), "pictures"), count(1)
    stack.callback(progress.clear)

    def show(path: Path, answer: Answer) -> None:
        progress.clear()
        for line in answer_lines(str(files[path]), answer, width, emotions, every):
            print(line, flush=True)
        progress.update(next(done))

    return show


def _sum_up(tally: Tally, total: int) -> None:
    """Say what was done, also after Ctrl-C, and last of all what could not be read."""
    if total > 1:
        done = f"{tally.pictures:,}" if tally.pictures == total else f"{tally.pictures:,} of {total:,}"
        print(
            f"{done} pictures: {tally.faces:,} faces; without a face: {tally.faceless:,}, "
            f"not readable: {len(tally.errors):,}",
            flush=True,
        )
    for error in tally.errors[:_NAMED]:
        print(f"error: {error}", file=sys.stderr)
    if len(tally.errors) > _NAMED:
        print(f"error: and {len(tally.errors) - _NAMED:,} more", file=sys.stderr)
