"""Write the page: static files, the model, the detector, samples, and a config from the model's card."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from PIL import Image

from fer.bundle.card import REFERENCE_LANDMARKS, Card, model_name, validation_metrics
from fer.bundle.files import MODEL, Bundle
from fer.bundle.readme import INTENDED_USE
from fer.core.errors import FerError
from fer.core.labels import emotion_colors
from fer.core.text import percent
from fer.data.synthetic.samples import SAMPLES, render_sample
from fer.web.detector import any_size_detector
from fer.web.runtime import CDN, RUNTIME, VERSION, cdn_runtime, copy_runtime, entry, read_runtime

_PAGE = Path(__file__).parent / "page"
_TEMPLATE, CONFIG, _DETECTOR = "index.html", "config.json", "yunet.onnx"
_JPEG_QUALITY = 90
_SOFTWARE = (
    f"ONNX Runtime Web {VERSION} (MIT License) runs the model, and YuNet from OpenCV's model zoo (MIT "
    "License) finds the faces. The samples are computer drawings, not photographs of people."
)


def write_page(
    bundle: Bundle, folder: Path, runtime: Path | None = None, detector_model: Path | None = None
) -> None:
    """Write a web page that runs a bundle; any static web server can serve it, below any path.

    Args:
        bundle: The model.
        folder: A new or empty folder.
        runtime: Folder or archive of the npm package of ONNX Runtime Web, which is copied in; None: the page
            loads it from a CDN.
        detector_model: YuNet's file; None: ``FER_YUNET_MODEL``, the user's cache, or a download.

    Raises:
        FerError: The folder is not empty or cannot be written, the runtime is another one, or there is no
            detector. Nothing is then written.
    """
    with new_folder(folder) as draft:
        detector = draft / _DETECTOR
        detector.write_bytes(any_size_detector(detector_model))
        shutil.copyfile(bundle.model_path, draft / MODEL)
        parts = copy_runtime(runtime, draft) if runtime else cdn_runtime()
        names = _copy_page(draft, bundle.card, None if runtime else CDN)
        samples = _write_samples(draft, bundle.card.labels.names)
        config = _config(bundle.card) | {
            "samples": samples,
            "model": entry(draft / MODEL, draft),
            "detector": entry(detector, draft),
            "runtime": parts,
            # Kept for use without a network, with the files above, which the page keeps itself.
            "files": ["./", *names, CONFIG, *(sample["file"] for sample in samples)],
        }
        text = json.dumps(config, indent=1, ensure_ascii=False)
        (draft / CONFIG).write_text(text + "\n", encoding="utf-8")


def check_inputs(folder: Path, runtime: Path | None) -> None:
    """Check what `write_page` needs besides the model, which takes long to make.

    Raises:
        FerError: As `write_page`.
    """
    check_new(folder)
    any_size_detector()
    if runtime is not None:
        read_runtime(runtime)


def check_new(folder: Path) -> None:
    """Check that a folder is new or empty.

    Raises:
        FerError: It has files, is a file, or cannot be read.
    """
    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    except OSError as error:
        raise FerError(f"{folder}: expected a new folder ({error.strerror}). Choose another one.") from None
    if names:
        more = " …" if len(names) > 3 else ""
        raise FerError(
            f"{folder}: expected a new or empty folder for the web page, got {', '.join(names[:3])}{more}. "
            "Empty it, or choose another one."
        )


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder whose files become those of ``folder`` if the block ends without an error.

    Raises:
        FerError: ``folder`` has files, or cannot be written.
    """
    check_new(folder)
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            # mkdtemp makes folders that web servers of other users cannot read.
            draft.chmod(0o755)
            yield draft
            folder.mkdir(exist_ok=True)
            for path in draft.iterdir():
                path.rename(folder / path.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        raise FerError(f"{folder}: cannot be written ({error.strerror}). Choose another folder.") from None


def describe(folder: Path) -> str:
    """Return where a page is, its size and how to try it."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    runtime = "with the runtime"
    if not (folder / RUNTIME).is_dir():
        runtime = f"without the runtime, which it loads from {CDN.partition('//')[2]}"
    return (
        f"{folder}: {size:.1f} MB {runtime}\n"
        f"Try it: python -m http.server --directory {folder}, and open http://localhost:8000"
    )


def _copy_page(folder: Path, card: Card, origin: str | None) -> list[str]:
    """Copy the files of the page, with the card's texts in its HTML; return the names of those it loads."""
    names = sorted(path.name for path in _PAGE.iterdir() if path.is_file())
    for name in names:
        shutil.copyfile(_PAGE / name, folder / name)
    texts = {name: escape(text) for name, text in _texts(card).items()}
    template = Template((_PAGE / _TEMPLATE).read_text(encoding="utf-8"))
    page = template.substitute(texts, origin=f" {origin}" if origin else "")
    (folder / _TEMPLATE).write_text(page, encoding="utf-8")
    # The browser itself keeps the service worker.
    return [name for name in names if name != "sw.js"]


def _texts(card: Card) -> dict[str, str]:
    size = f"{card.model['parameters'] / 1e6:.2f} million parameters, {card.model['bytes'] / 1e6:.1f} MB"
    return {
        "name": model_name(card),
        "about": f"{card.model['architecture']}, {card.precision}, {size}",
        "warning": INTENDED_USE.partition(". ")[2],
        "accuracy": _accuracy(card),
        "weights": card.licence["weights"],
        "data": card.licence["data"],
        "software": _SOFTWARE,
    }


def _accuracy(card: Card) -> str:
    metrics = validation_metrics(card)
    accuracy = metrics.get("figures", {}).get("accuracy")
    if accuracy is None or accuracy["value"] is None:
        return "not measured"
    low, high = accuracy.get("low"), accuracy.get("high")
    interval = "" if low is None or high is None else f" (95 %: {100 * low:.1f} to {percent(high)})"
    selected = ", on which the model was selected: optimistic" if metrics["selection_split"] else ""
    images = f"{metrics['n']:,} images of {metrics['split']}"
    return f"{percent(accuracy['value'])}{interval} on {images}{selected}"


def _config(card: Card) -> dict[str, Any]:
    names = card.labels.names
    return {
        "name": model_name(card),
        "labels": list(names),
        "colors": emotion_colors(names),
        "image_size": card.image_size,
        "crop": asdict(card.crop),
        "reference_landmarks": REFERENCE_LANDMARKS,
        "uncertain_below": card.uncertain_below,
    }


def _write_samples(folder: Path, emotions: Sequence[str]) -> list[dict[str, str]]:
    """Write the samples whose emotion the model knows, and those of several faces."""
    (folder / "samples").mkdir()
    samples = []
    for sample in SAMPLES:
        if len(sample.faces) == 1 and sample.title not in emotions:
            continue
        file = f"samples/{sample.title.replace(' ', '_')}.jpg"
        Image.fromarray(render_sample(sample)).save(folder / file, quality=_JPEG_QUALITY)
        samples.append({"title": sample.title, "file": file})
    return samples
