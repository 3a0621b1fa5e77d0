"""YuNet's file, fetched once into the user's cache."""

import hashlib
import os
import urllib.request
import uuid
from http.client import HTTPException
from pathlib import Path

from fer.errors import FerError
from fer.places import at_home

# OpenCV's model zoo at one commit (Apache-2.0); the hash is the one that the zoo itself notes down there.
YUNET_URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/82b38c8f98e7b52aa171400f3e4c722352d0669f"
    "/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_LARGEST = 10 << 20  # bytes; the file has 232,589
_PATIENCE = 20.0  # seconds without a byte
_ADVICE = "Give its file with --detector-model FILE or FER_YUNET_MODEL=FILE, or use --detector haar."


def yunet_in_cache(sha256: str = YUNET_SHA256) -> Path | None:
    """Return YuNet's file in the user's cache; None where there is none, or a damaged one."""
    try:
        path = yunet_place()
        return path if hashlib.sha256(path.read_bytes()).hexdigest() == sha256 else None
    except (OSError, FerError):  # FerError: the user has no home folder
        return None


def fetch_yunet(url: str = YUNET_URL, sha256: str = YUNET_SHA256) -> Path:
    """Return YuNet's file in the user's cache; download it where it is not there yet.

    It is written beside its place and moved there in one step, and only if its SHA-256 is the right one.

    Raises:
        FerError: No network, another file, or the cache cannot be written.
    """
    if path := yunet_in_cache(sha256):
        return path
    content = _download(url)
    if (found := hashlib.sha256(content).hexdigest()) != sha256:
        raise FerError(
            f"{url}: expected the face detector YuNet with SHA-256 {sha256[:12]}…, got {found[:12]}… "
            f"({len(content):,} bytes). {_ADVICE}"
        )
    return _store(content, yunet_place())


def yunet_place() -> Path:
    """Return where the file lies: in ``FER_CACHE_DIR``, or else in the user's cache folder."""
    own, shared = os.environ.get("FER_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    folder = own or (Path(shared) if shared else Path("~/.cache")) / "fer"
    return at_home(folder) / YUNET_URL.rsplit("/", 1)[1]


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
            return answer.read(_LARGEST)
    except (OSError, HTTPException) as error:  # URLError and timeouts are OSErrors
        reason = getattr(error, "reason", None) or error
        raise FerError(
            f"The face detector YuNet cannot be downloaded from {url}: {reason}. {_ADVICE}"
        ) from None


def _store(content: bytes, path: Path) -> Path:
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise FerError(
            f"{path}: cannot be written ({error.strerror}). Set FER_CACHE_DIR, or: {_ADVICE}"
        ) from None
    return path
