"""fer-predict on images: predictions in the terminal, as JSONL, and drawn into copies of the images."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from fer.core.errors import FerError
from fer.core.image_io import SUFFIXES, ImageSource, read_image
from fer.core.text import counted
from fer.predict.annotate import draw
from fer.predict.predictor import ImageResult, Prediction, Predictor, turned_note
from fer.predict.result_file import STANDARD, ResultFile, image_csv_header, image_csv_lines, json_line
from fer.predict.video.progress import Progress

# Exit statuses; see the help text of fer-predict.
SOME_UNREADABLE, NONE_READABLE, NO_FACE = 1, 2, 3
# At most this many unreadable files are named at the end.
_MAX_ERRORS_SHOWN = 20
# Longer side, in pixels, of images that are likely to be cropped faces.
_CROPPED_SIDE = 128
# Width of a probability bar in characters, and the characters for eighths of one.
_BAR_WIDTH = 20
_EIGHTHS = " ▏▎▍▌▋▊▉█"
# Formats that OpenCV can write.
_WRITABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
# Receives the path of each image and its result.
Sink = Callable[[Path, ImageResult], None]


@dataclass
class Tally:
    """Counts over the images processed so far."""

    images: int = 0
    faces: int = 0
    without_face: int = 0
    small_without_face: int = 0
    errors: list[FerError] = field(default_factory=list)
    emotions: Counter[str] = field(default_factory=Counter)
    uncertain_emotions: Counter[str] = field(default_factory=Counter)

    def add(self, path: Path, result: ImageResult) -> None:
        """Count an image."""
        self.images += 1
        self.faces += len(result.predictions)
        for face in result.predictions:
            (self.uncertain_emotions if face.uncertain else self.emotions)[face.label] += 1
        if result.error:
            self.errors.append(result.error)
        elif not result.predictions:
            self.without_face += 1
            self.small_without_face += result.size is not None and max(result.size) <= _CROPPED_SIDE

    def describe_faces(self) -> str:
        """Return e.g. ``20 faces: 7 sad, 5 neutral, 8 uncertain``; an uncertain face counts only as that.

        If all are uncertain: ``20 faces, all uncertain: 12 sad, 8 neutral``.
        """
        faces, uncertain = counted(self.faces, "face"), self.uncertain_emotions.total()
        if not self.faces:
            return "no face found"
        if uncertain == self.faces > 1:
            return f"{faces}, all uncertain: {_frequencies(self.uncertain_emotions)}"
        counts = [_frequencies(self.emotions)] * bool(self.emotions)
        return f"{faces}: {', '.join(counts + [f'{uncertain:,} uncertain'] * bool(uncertain))}"

    def status(self, strict: bool) -> int:
        """Return the exit status for these counts."""
        if self.errors:
            return NONE_READABLE if len(self.errors) == self.images else SOME_UNREADABLE
        return NO_FACE if strict and self.without_face else 0


def _frequencies(emotions: Counter[str]) -> str:
    """Return e.g. ``7 sad, 5 neutral``."""
    return ", ".join(f"{number:,} {emotion}" for emotion, number in emotions.most_common())


def predict_images(
    files: Mapping[Path, Path],
    predictor: Predictor,
    *,
    json: Path | None = None,
    csv: Path | None = None,
    copies: Path | None = None,
    strict: bool = False,
    show_all: bool = False,
) -> int:
    """Predict on images, write each result at once, and return the exit status.

    Args:
        files: Path of each image -> its path relative to the folder of annotated copies. ``-``: standard
            input.
        predictor: Detects and classifies the faces.
        json: JSONL file to write, a line for each image; ``-``: standard output.
        csv: CSV file to write, a row for each face; likewise.
        copies: Folder of annotated copies; for one image a file.
        strict: Return `NO_FACE` if an image has no face.
        show_all: Show the probabilities of all emotions.

    Raises:
        FerError: An output cannot be written; earlier results are kept.
    """
    tally = Tally()
    with ExitStack() as stack:
        # First, because it raises if a copy would overwrite an image: the JSONL file is then still intact.
        images = {path: _content(path) for path in files}
        sinks = [copy_writer(files, images, copies, show_all)] if copies else []
        outputs = [(path, as_csv) for path, as_csv in ((json, False), (csv, True)) if path is not None]
        check_not_overwriting(files, [path for path, _ in outputs], "the results")
        sinks = [*(_file_sink(stack, *output, predictor) for output in outputs), *sinks]
        if any(str(path) == STANDARD for path, _ in outputs):
            # After the files have been opened: text for people must not be mixed with the results.
            stack.enter_context(redirect_stdout(sys.stderr))
        print(header_line(predictor), flush=True)
        # The stack calls back in reverse order: the progress line is cleared before the summary is printed.
        stack.callback(_print_written, tally, [path for path, _ in outputs], copies)
        stack.callback(_print_summary, tally, len(files))
        sinks = [tally.add, *sinks, _terminal_sink(stack, files, predictor, show_all)]
        for path, result in zip(files, predictor.iter_results(images.values()), strict=True):
            for sink in sinks:
                sink(path, result)
    return tally.status(strict)


def _content(path: Path) -> ImageSource:
    """Return what is read for an image: its path, or the bytes of standard input."""
    return sys.stdin.buffer.read() if str(path) == STANDARD else path


def _print_written(tally: Tally, outputs: Sequence[Path], copies: Path | None) -> None:
    """Print the paths of the files that were written."""
    for path in outputs:
        if str(path) != STANDARD:
            print(f"results      {path}")
    if copies is not None and (number := tally.images - len(tally.errors)):
        print(f"annotated    {copies}" + (f" ({number:,} images)" if number > 1 else ""))


def _file_sink(stack: ExitStack, path: Path, as_csv: bool, predictor: Predictor) -> Sink:
    """Return a sink that writes the result for each image to a file."""
    file, emotions = stack.enter_context(ResultFile(path)), predictor.card.labels.names
    if as_csv:
        file.write(image_csv_header(emotions))
        return lambda image, result: file.write(image_csv_lines(str(image), result, emotions))
    return lambda image, result: file.write(json_line(str(image), result, predictor))


def _terminal_sink(
    stack: ExitStack, files: Mapping[Path, Path], predictor: Predictor, show_all: bool
) -> Sink:
    """Return a sink that prints the predictions for an image, above a progress line."""
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
            f"{done} images, without a face: {tally.without_face:,}, unreadable: {len(tally.errors):,}\n"
            f"{tally.describe_faces()}",
            flush=True,
        )
    if tally.small_without_face:
        print(
            f"hint         {counted(tally.small_without_face, 'image')} without a face of at most "
            f"{_CROPPED_SIDE} pixels: classify images that are cropped faces with --detector none"
        )
    for error in tally.errors[:_MAX_ERRORS_SHOWN]:
        print(f"error: {error}", file=sys.stderr)
    if len(tally.errors) > _MAX_ERRORS_SHOWN:
        print(f"error: and {len(tally.errors) - _MAX_ERRORS_SHOWN:,} more", file=sys.stderr)


def header_line(predictor: Predictor) -> str:
    """Return the model and detector in use, e.g. ``model fast:1 (7 emotions, fp32), faces by yunet``."""
    card = predictor.card
    return (
        f"model {predictor.model_name} ({len(card.labels)} emotions, {card.precision}), "
        f"faces by {predictor.detector.name}"
    )


def result_lines(
    name: str, result: ImageResult, width: int, emotions: Sequence[str], show_all: bool
) -> Iterator[str]:
    """Yield the lines for an image: one per face, or one that says that there is none.

    Args:
        name: Name of the file.
        result: The result for the image.
        width: Width of the name's column in characters; longer names are truncated.
        emotions: All emotions of the model.
        show_all: Add a line for each emotion.
    """
    name = name if len(name) <= width else "…" + name[len(name) - width + 1 :]
    if result.error or not result.predictions:
        yield f"{name:<{width}}  {'could not be read' if result.error else 'no face found'}"
    label_width = max(map(len, emotions))
    for number, prediction in enumerate(result.predictions, 1):
        yield f"{name:<{width}}  {number:>2}  {_face_text(prediction, label_width)}".rstrip()
        if show_all:
            for emotion, probability in prediction.probabilities.items():
                yield f"{'':<{width}}      {_probability_text(emotion, probability, label_width)}".rstrip()


def _face_text(prediction: Prediction, label_width: int) -> str:
    line = _probability_text(prediction.label, prediction.confidence, label_width)
    side = round(min(prediction.face.box[2:]))
    notes = ["uncertain"] * prediction.uncertain + [f"tiny face, {side} pixels"] * prediction.tiny
    if prediction.face.rotation:
        notes.append(turned_note(prediction.face))
    return f"{line}  {', '.join(notes)}"


def _probability_text(emotion: str, probability: float, label_width: int) -> str:
    return f"{emotion:<{label_width}}  {100 * probability:3.0f} %  {bar(probability)}"


def bar(fraction: float) -> str:
    """Return a bar for a fraction from 0 to 1, padded to constant width."""
    full, eighths = divmod(round(fraction * 8 * _BAR_WIDTH), 8)
    return f"{'█' * full}{_EIGHTHS[eighths] if eighths else ''}".ljust(_BAR_WIDTH)


def copy_writer(
    files: Mapping[Path, Path], images: Mapping[Path, ImageSource], folder: Path, bars: bool
) -> Sink:
    """Return a sink that writes an annotated copy of each readable image to its path by `copy_paths`.

    Several faces are numbered, as in all other outputs.
    """
    targets = copy_paths(files, folder)

    def write(image: Path, result: ImageResult) -> None:
        if result.error is None:
            faces = result.predictions
            names = [f"#{number}" for number in range(1, len(faces) + 1)] if len(faces) > 1 else None
            write_image(targets[image], draw(read_image(images[image]), faces, names=names, bars=bars))

    return write


def copy_paths(files: Mapping[Path, Path], folder: Path) -> dict[Path, Path]:
    """Return the path of each image's annotated copy; all are different.

    Args:
        files: Path of each image -> its path relative to the output folder.
        folder: Output folder. For a single image it may be a file with an image suffix.

    Raises:
        FerError: A copy would overwrite an input image, its format cannot be written, or a file is named for
            several images.
    """
    is_file_name = folder.suffix.lower() in SUFFIXES and not folder.is_dir()
    if is_file_name and len(files) > 1:
        raise FerError(
            f"{folder}: expected a folder for the copies of {len(files):,} images, got the name of a file. "
            f"Write --annotate {folder.with_suffix('')}"
        )
    if is_file_name and folder.suffix.lower() not in _WRITABLE_SUFFIXES:
        raise FerError(
            f"{folder}: expected a file name ending in {', '.join(_WRITABLE_SUFFIXES)}, got {folder.suffix}. "
            "Choose another format."
        )
    used: set[Path] = set()
    targets = {
        image: folder if is_file_name else _unique(folder / relative, used)
        for image, relative in files.items()
    }
    check_not_overwriting(files, targets.values(), "an annotated copy")
    return targets


def check_not_overwriting(images: Iterable[Path], targets: Iterable[Path], content: str) -> None:
    """Raise FerError if an output file, with this content, is one of the input images."""
    inputs = {_identity(image) for image in images} - {None}
    for target in targets:
        if _identity(target) in inputs:
            raise FerError(f"{target}: {content} would overwrite this input image. Choose another path.")


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, the same for all its names; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _unique(target: Path, used: set[Path]) -> Path:
    """Return an unused path in a writable format, and add it to ``used``."""
    if target.suffix.lower() not in _WRITABLE_SUFFIXES:
        target = target.with_name(f"{target.name}.png")
    path, number = target, 2
    while path in used:
        path, number = target.with_stem(f"{target.stem}_{number}"), number + 1
    used.add(path)
    return path


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write an RGB image, uint8 ``(H, W, 3)``, in the format of the suffix.

    Raises:
        FerError: It cannot be written.
    """
    try:
        success, content = cv2.imencode(path.suffix.lower(), pixels[..., ::-1])
        if not success:
            raise FerError(f"{path}: cannot be written (too large for this format). Choose another format.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.tobytes())
    except (OSError, cv2.error) as error:
        reason = getattr(error, "strerror", None) or "too large for this format"
        raise FerError(f"{path}: cannot be written ({reason}). Choose another path or format.") from error
