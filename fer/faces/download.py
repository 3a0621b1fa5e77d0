"""Download YuNet's model file once, to the user's cache."""

import hashlib
import os
import urllib.request
import uuid
from http.client import HTTPException
from pathlib import Path

from fer.errors import FerError
from fer.places import expand_user

# OpenCV's model zoo at one commit (Apache-2.0). The hash is the one in the zoo's Git LFS pointer.
YUNET_URL = (
    "https://media.githubusercontent.com/media/opencv/opencv_zoo/82b38c8f98e7b52aa171400f3e4c722352d0669f"
    "/models/face_detection_yunet/face_detection_yunet_2023mar.onnx"
)
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
# Bytes to read at most; the file has 232,589.
_MAX_BYTES = 10 << 20
_TIMEOUT_SECONDS = 20.0
_ADVICE = "Give the file with --detector-model FILE or FER_YUNET_MODEL=FILE, or use --detector haar."


def yunet_in_cache(sha256: str = YUNET_SHA256) -> Path | None:
    """Return the path of YuNet's file in the user's cache; None if it is missing or damaged."""
    try:
        path = yunet_cache_path()
        return path if hashlib.sha256(path.read_bytes()).hexdigest() == sha256 else None
    except (OSError, FerError):
        # FerError: the user has no home folder.
        return None


def fetch_yunet(url: str = YUNET_URL, sha256: str = YUNET_SHA256) -> Path:
    """Return the path of YuNet's file in the user's cache, after downloading it if necessary.

    The file is checked against its SHA-256 and written atomically.

    Raises:
        FerError: No network, a file with another hash, or a cache that cannot be written.
    """
    if path := yunet_in_cache(sha256):
        return path
    content = _download(url)
    if (actual := hashlib.sha256(content).hexdigest()) != sha256:
        raise FerError(
            f"{url}: expected the face detector YuNet with SHA-256 {sha256[:12]}…, got {actual[:12]}… "
            f"({len(content):,} bytes). {_ADVICE}"
        )
    return _store(content, yunet_cache_path())


def yunet_cache_path() -> Path:
    """Return the path of YuNet's file: in ``FER_CACHE_DIR``, or else in the user's cache folder."""
    fer_cache, user_cache = os.environ.get("FER_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME")
    folder = fer_cache or (Path(user_cache) if user_cache else Path("~/.cache")) / "fer"
    return expand_user(folder) / YUNET_URL.rsplit("/", 1)[1]


def _download(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            return response.read(_MAX_BYTES)
    except (OSError, HTTPException) as error:
        # URLError and timeouts are OSErrors.
        reason = getattr(error, "reason", None) or error
        raise FerError(f"{url}: the face detector YuNet cannot be downloaded: {reason}. {_ADVICE}") from None


def _store(content: bytes, path: Path) -> Path:
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise FerError(
            f"{path}: cannot be written ({error.strerror}). Set FER_CACHE_DIR, or: {_ADVICE}"
        ) from None
    return path
