"""What fer-predict was given: pictures, folders of them, a film or a webcam."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import cv2

from fer.errors import FerError, did_you_mean
from fer.picture import SUFFIXES, other_files, picture_files
from fer.places import names_in
from fer.predict import Predictor, cores
from fer.predicting.lines import head_line
from fer.predicting.pictures import predict_pictures

FILMS = frozenset(
    (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".3gp",
     ".ogv")
)  # fmt: skip
# First bytes of MP4 and MOV (HEIC and AVIF pictures, which begin alike, apart), Matroska and WebM, AVI.
_FILM_START = re.compile(rb"....ftyp(?!hei|hev|mif|msf|avi)|\x1aE\xdf\xa3|RIFF....AVI ", re.DOTALL)


def predict_sources(request: argparse.Namespace) -> int:
    """Answer a command line of ``fer-predict``; return the exit status.

    Raises:
        FerError: A source, a model or an output is not there or not fit.
    """
    for source in request.sources:
        _check_there(source)
    moving = [source for source in request.sources if is_moving(source)]
    if moving and len(request.sources) > 1:
        raise FerError(f"{moving[0]}: expected a film or webcam alone, got {len(request.sources)} sources.")
    if request.threads or not moving:
        cv2.setNumThreads(1)  # pictures are looked at side by side already, and a limit is one for all
    if moving:
        return _predict_film(moving[0], request)
    copies = Path(request.annotate) if request.annotate else None
    files = list_pictures(request.sources, copies)
    status = predict_pictures(files, request, _predictor(request))
    for folder in filter(Path.is_dir, map(Path, request.sources)):
        _tell_others(folder)
    return status


def _tell_others(folder: Path) -> None:
    """Say which files of a folder were no pictures that can be read here."""
    if others := other_files(folder):
        kinds = ", ".join(f"{number:,} {suffix}" for suffix, number in list(others.items())[:5])
        print(f"{folder}: passed over {kinds}. Save pictures as JPEG or PNG; films are given alone.")


def _predictor(request: argparse.Namespace) -> Predictor:
    return Predictor(request.model, request.detector, request.detector_model, request.threads)


def _predict_film(source: str, request: argparse.Namespace) -> int:
    from fer.video.run import run_video  # pictures do without

    # Two frames at a time on a core each are faster than one frame on both.
    predictor = Predictor(request.model, request.detector, request.detector_model, threads=1)
    print(head_line(predictor), flush=True)
    summary = run_video(
        Path(source) if Path(source).is_file() else source,
        predictor,
        annotate=request.annotate,
        timeline=request.json,
        smooth=request.smooth,
        bars=request.all,
        threads=request.threads or cores(),
    )
    return 3 if request.strict and not summary.faces else 0


def _check_there(source: str) -> None:
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", source):
        raise FerError(f"{source}: expected a file, got a web address. Download it and give its path.")
    path = Path(source)
    try:
        there = path.exists() or _is_webcam(source)
    except OSError as error:  # no right to look there, or a name that is too long
        raise FerError(f"{source[:200]}: cannot be looked up ({error.strerror}).") from None
    if not there:
        hint = did_you_mean(path.name, names_in(path.parent))
        raise FerError(f"{source}: expected a picture, folder or film, but there is none.{hint}")


def is_moving(source: str) -> bool:
    """Return whether this is the number of a webcam or a film, by its suffix or its first bytes."""
    path = Path(source)
    if not path.is_file():
        return _is_webcam(source)
    suffix = path.suffix.lower()
    return suffix in FILMS or (suffix not in SUFFIXES and _starts_like_a_film(path))


def _is_webcam(source: str) -> bool:
    return source.isascii() and source.isdigit() and not Path(source).exists()


def _starts_like_a_film(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _FILM_START.match(file.read(16)) is not None
    except OSError:
        return False  # reading it as a picture will say why


def list_pictures(sources: Sequence[str], copies: Path | None) -> dict[Path, Path]:
    """Return the pictures that are meant, each with its place within the folder of annotated copies.

    Args:
        sources: Files, and folders to be searched.
        copies: Folder of annotated copies of an earlier run, which are no new pictures.

    Raises:
        FerError: A folder has no pictures, or all of them lie in the folder of copies.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, sources):
        found |= _in_folder(path, copies) if path.is_dir() else {path: Path(path.name)}
    return found


def _in_folder(folder: Path, copies: Path | None) -> dict[Path, Path]:
    """Return the pictures of a folder, but for annotated copies."""
    own = copies.resolve() if copies else None
    files = [file for file in picture_files(folder) if own is None or not file.resolve().is_relative_to(own)]
    if not files:
        raise FerError(
            f"{folder}: all pictures in it lie in {copies} too, and what lies there is taken for "
            "annotated copies of an earlier run. Name another folder with --annotate."
        )
    return {file: file.relative_to(folder) for file in files}
