"""Inputs of fer-predict: find the images, folders, video or webcam that it names, and predict on them."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import cv2

from fer.core.errors import FerError, did_you_mean
from fer.core.image_io import SUFFIXES, count_frames
from fer.core.paths import expand_user, list_names
from fer.core.threads import available_cores
from fer.predict.images import NO_FACE, header_line, predict_images
from fer.predict.predictor import Predictor
from fer.predict.result_file import STANDARD
from fer.predict.video.stream import is_stream_address

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".mts", ".3gp",
     ".ogv")
)  # fmt: skip
# Seconds over which the probabilities in a video are smoothed.
_SMOOTH = 0.5
# First bytes of MP4 and MOV (but not of HEIC and AVIF images, which are similar), Matroska, WebM and AVI.
_VIDEO_SIGNATURE = re.compile(rb"....ftyp(?!hei|hev|mif|msf|avi)|\x1aE\xdf\xa3|RIFF....AVI ", re.DOTALL)
_ANIMATED = frozenset((".gif", ".webp", ".png", ".avif"))
# Files that programs write beside images. They are not counted as skipped.
_SIDECAR_SUFFIXES = frozenset(
    {"", ".csv", ".html", ".ini", ".json", ".jsonl", ".md", ".txt", ".xml", ".xmp", ".yaml", ".yml"}
)


def predict_sources(
    sources: Sequence[str],
    *,
    model: str | None = None,
    detector: str = "auto",
    detector_model: str | None = None,
    threshold: float | None = None,
    json: str | None = None,
    csv: str | None = None,
    annotate: str | None = None,
    strict: bool = False,
    show_all: bool = False,
    smooth: float | None = None,
    threads: int | None = None,
    device: str | None = None,
) -> int:
    """Predict on images and folders, or on one video or webcam; return the exit status of fer-predict.

    Args:
        sources: Files, folders, the address of a video (``rtsp://``, ``http://``), the number of a webcam, or
            ``-``: an image on standard input.
        model: Folder of a bundle or name of a model; None: the model of the package.
        detector: Name of the face detector.
        detector_model: Model file of the detector.
        threshold: A prediction with a lower confidence is uncertain; None: that of the model's card.
        json: JSONL file to write; ``-``: standard output, and all other text goes to standard error.
        csv: CSV file to write; likewise.
        annotate: Folder of annotated copies; for one image or a video a file.
        strict: Return 3 if an image has no face.
        show_all: Show the probabilities of all emotions; of a video, in its annotated copy.
        smooth: Seconds over which the probabilities in a video are smoothed; None: 0.5.
        threads: CPU cores to use; None: all.
        device: Where the model runs, see `fer.core.device.DEVICES`; None: ``auto``.

    Raises:
        FerError: A source, model or output is missing or invalid.
    """
    if json and json.lower().endswith(".csv") and csv is None:
        json, csv = None, json
    if json == csv == STANDARD:
        raise FerError("--json -, --csv -: expected one of them on standard output, got both. Name a file.")
    text = sys.stderr if STANDARD in (json, csv) else sys.stdout
    for source in sources:
        _check_exists(source)
    videos = [source for source in sources if is_video_source(source)]
    if videos and len(sources) > 1:
        raise FerError(
            f"{videos[0]}: expected a video or webcam as the only source, got {len(sources)} "
            "sources. Run the command once for each."
        )
    if smooth is not None and not videos:
        raise FerError(f"--smooth {smooth:g}: expected a video, got images. Omit --smooth.")
    if show_all and videos and annotate is None:
        raise FerError(
            "--all: expected --annotate with a video, whose copy shows the probabilities, got none. Add "
            "--annotate FILE.mp4, or omit --all: --json and --csv have all probabilities."
        )
    if threads or not videos:
        # Images are processed in parallel already, and --threads is a limit for everything.
        cv2.setNumThreads(1)
    if videos:
        # Several frames in parallel with one core each are faster than one frame on all cores.
        predictor = Predictor(model, detector, detector_model, threads=1, threshold=threshold, device=device)
        # Imported late, because images do not need it.
        from fer.predict.video.run import run_video

        print(header_line(predictor), flush=True, file=text)
        summary = run_video(
            Path(videos[0]) if Path(videos[0]).is_file() else videos[0],
            predictor,
            annotate=annotate,
            json=json,
            csv=csv,
            smooth=_SMOOTH if smooth is None else smooth,
            bars=show_all,
            threads=threads or available_cores(),
        )
        with redirect_stdout(text):
            _print_hints(predictor, detector)
        return NO_FACE if strict and not summary.faces else 0
    copies = Path(annotate) if annotate else None
    files = list_images(sources, copies)
    predictor = Predictor(model, detector, detector_model, threads, threshold, device)
    status = predict_images(
        files,
        predictor,
        json=Path(json) if json else None,
        csv=Path(csv) if csv else None,
        copies=copies,
        strict=strict,
        show_all=show_all,
    )
    with redirect_stdout(text):
        for folder in filter(Path.is_dir, map(Path, sources)):
            _print_skipped(folder)
        print_animations(files)
        _print_hints(predictor, detector)
    return status


def _print_hints(predictor: Predictor, detector: str) -> None:
    """Print which options give better answers: a threshold for a model without one, a better detector."""
    if (predictor.uncertain_below or 0) > 1:
        print(
            f"hint         {predictor.model_name} has no threshold for its confidence, so every answer is "
            "uncertain. Set one with --threshold 0.7, or find one with fer-models calibrate"
        )
    if detector == "auto" and predictor.detector.name == "haar":
        print("hint         YuNet finds more faces than Haar: --detector yunet downloads it once, 0.2 MB")


def _print_skipped(folder: Path) -> None:
    """Print which kinds of files in a folder were skipped."""
    if counts := count_other_files(folder):
        kinds = ", ".join(f"{number:,} {suffix}" for suffix, number in list(counts.items())[:5])
        print(f"{folder}: skipped {kinds}. Save images as JPEG or PNG; give each video by its own path.")


def print_animations(files: Iterable[Path]) -> None:
    """Print which files are animations, because only their first image was used."""
    animations = [path for path in files if path.suffix.lower() in _ANIMATED and count_frames(path) > 1]
    if animations:
        named = ", ".join(map(str, animations[:3])) + (", …" if len(animations) > 3 else "")
        print(
            f"animations of which only the first image was used: {named} ({len(animations):,} in all). For "
            "every frame, convert them to videos: ffmpeg -i IN.gif OUT.mp4"
        )


def _check_exists(source: str) -> None:
    """Raise FerError unless a source is a file, a folder, the number of a webcam or a video stream."""
    if is_stream_address(source) or source == STANDARD:
        return
    if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+://", source):
        raise FerError(
            f"{source}: expected a file, got a web address. Download it and give its path. "
            "Videos are read from rtsp:// and http:// addresses."
        )
    path = Path(source)
    try:
        exists = path.exists() or _is_webcam(source)
    except OSError as error:
        # No permission, or the name is too long.
        raise FerError(f"{source[:200]}: cannot be opened ({error.strerror}).") from None
    if not exists:
        hint = did_you_mean(path.name, list_names(path.parent))
        raise FerError(
            f"{source}: expected an image, a folder or a video, got a path that does not exist.{hint}"
        )


def is_video_source(source: str) -> bool:
    """Return whether this is a video by its suffix or its first bytes, a stream or the number of a webcam."""
    if is_stream_address(source):
        return True
    path = Path(source)
    if not path.is_file():
        return _is_webcam(source)
    suffix = path.suffix.lower()
    return suffix in VIDEO_SUFFIXES or (suffix not in SUFFIXES and _has_video_signature(path))


def _is_webcam(source: str) -> bool:
    return source.isascii() and source.isdigit() and not Path(source).exists()


def _has_video_signature(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _VIDEO_SIGNATURE.match(file.read(16)) is not None
    except OSError:
        # Reading it as an image will report the error.
        return False


def list_images(sources: Sequence[str], copies: Path | None) -> dict[Path, Path]:
    """Return the images to process: path of each -> its path relative to the folder of annotated copies.

    Args:
        sources: Files, and folders that are searched recursively.
        copies: Folder of annotated copies, which may contain copies of an earlier run; its images are
            skipped.

    Raises:
        FerError: A folder has no images, or all of them are in the folder of copies.
    """
    images: dict[Path, Path] = {}
    for path in map(Path, sources):
        images |= _images_in_folder(path, copies) if path.is_dir() else {path: Path(path.name)}
    return images


def _images_in_folder(folder: Path, copies: Path | None) -> dict[Path, Path]:
    """Return the images of a folder, without annotated copies."""
    skipped = copies.resolve() if copies else None
    files = [
        file
        for file in list_image_files(folder)
        if skipped is None or not file.resolve().is_relative_to(skipped)
    ]
    if not files:
        raise FerError(
            f"{folder}: expected images, got only images in {copies}, which are taken for annotated copies "
            "of an earlier run. Name another folder with --annotate."
        )
    return {file: file.relative_to(folder) for file in files}


def list_image_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the files with an image suffix in a folder and its subfolders, sorted by path.

    Hidden files and hidden folders are skipped. Links to folders are followed.

    Raises:
        FerError: No such folder, a folder that cannot be read, or no images.
    """
    root = expand_user(folder)
    if not root.is_dir():
        raise FerError(f"{root}: expected a folder of images, but there is no such folder.")
    files = sorted(path for path in _visible_files(root) if path.suffix.lower() in SUFFIXES)
    if not files:
        raise FerError(f"{root}: expected images ({' '.join(sorted(SUFFIXES))}), but there are none in it.")
    return files


def _visible_files(root: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, without hidden ones; each linked folder once."""
    seen = {root.resolve()}
    for parent, folders, names in os.walk(root, onerror=_unreadable_folder, followlinks=True):
        visible = [name for name in folders if not name.startswith(".")]
        folders[:] = [name for name in visible if _is_new(Path(parent, name), seen)]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _is_new(folder: Path, seen: set[Path]) -> bool:
    """Return whether a folder was not reached by another path, and remember it if it is a link."""
    if not folder.is_symlink():
        return True
    target = folder.resolve()
    is_new = target not in seen and not any(target.is_relative_to(known) for known in seen)
    is_new = is_new and not folder.parent.resolve().is_relative_to(target)
    if is_new:
        seen.add(target)
    return is_new


def count_other_files(folder: str | os.PathLike[str]) -> dict[str, int]:
    """Return how many files `list_image_files` skips because of their suffix, by suffix, most frequent first.

    Hidden files and sidecar files (``.json``, ``.txt``, …) are not counted.
    """
    counts = Counter(path.suffix.lower() for path in _visible_files(expand_user(folder)))
    ignored = SUFFIXES | _SIDECAR_SUFFIXES
    return {suffix: number for suffix, number in counts.most_common() if suffix not in ignored}


def _unreadable_folder(error: OSError) -> None:
    raise FerError(
        f"{error.filename}: this folder cannot be read ({error.strerror}). Make it readable, or give the "
        "other folders one by one."
    ) from error
