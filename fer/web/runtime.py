"""ONNX Runtime Web for the page: one pinned version, from a local copy or a CDN, checked by its hashes."""

import base64
import gzip
import hashlib
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fer.core.errors import FerError

VERSION = "1.30.0"
PACKAGE = f"onnxruntime-web@{VERSION}"
# Serves the files of npm packages, with the header that lets other sites load them.
CDN = "https://cdn.jsdelivr.net"
# Folder of the page with a copy of the runtime.
RUNTIME = "runtime"
# Backend -> its JavaScript module and WebAssembly file, each with the hash that browsers check. The second
# backend needs a browser in which WebAssembly can wait for promises (JSPI); the first runs everywhere.
FILES = {
    "wasm": {
        "module": (
            "ort.wasm.bundle.min.mjs",
            "sha384-PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
        ),
        "binary": (
            "ort-wasm-simd-threaded.wasm",
            "sha384-vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
        ),
    },
    "webgpu": {
        "module": (
            "ort.jspi.bundle.min.mjs",
            "sha384-9RUgRCKe1ziB7Sof69RRpoybxSmnC67IsfHFamx/k+9m39GbvHvw5Sets/Xpsro+",
        ),
        "binary": (
            "ort-wasm-simd-threaded.jspi.wasm",
            "sha384-bMP/XSpH5FjIIaVnUc1eR3cDsGZGdO1ZPjcHGEtvMwOgZZFcOEN8VrGooR81HSFO",
        ),
    },
}
# Where the files are below the folder that a user names: an npm package, unpacked or installed.
_PLACES = (".", "dist", "package/dist", "node_modules/onnxruntime-web/dist")
_HOW = f"npm pack {PACKAGE} writes its archive."
Runtime = dict[str, dict[str, dict[str, Any]]]


def cdn_runtime() -> Runtime:
    """Return the entry of the page's config that loads the runtime from the CDN."""
    address = f"{CDN}/npm/{PACKAGE}/dist"
    return {
        backend: {
            part: {"url": f"{address}/{name}", "integrity": digest, "packed": False}
            for part, (name, digest) in parts.items()
        }
        for backend, parts in FILES.items()
    }


def copy_runtime(source: Path, folder: Path) -> Runtime:
    """Copy the runtime into the page, the WebAssembly files compressed, and return the entry of its config.

    Args:
        source: Folder of the npm package, or its archive (``.tgz``).
        folder: Folder of the page.

    Raises:
        FerError: A file is missing, or of another version.
    """
    contents = read_runtime(source)
    target = folder / RUNTIME
    target.mkdir()
    runtime: Runtime = {backend: {} for backend in FILES}
    for backend, parts in FILES.items():
        for part, (name, _) in parts.items():
            packed = part == "binary"
            # Some servers decompress files named .gz on their own.
            path = target / (f"{name}.bin" if packed else name)
            path.write_bytes(gzip.compress(contents[name], 6, mtime=0) if packed else contents[name])
            runtime[backend][part] = entry(path, folder) | {"packed": packed}
    return runtime


def read_runtime(source: Path) -> dict[str, bytes]:
    """Return the content of each file of the runtime.

    Raises:
        FerError: A file is missing, or of another version.
    """
    contents = {}
    with _opened(source) as read:
        for name, digest in (file for parts in FILES.values() for file in parts.values()):
            contents[name] = read(name)
            if (actual := integrity(contents[name])) != digest:
                raise FerError(
                    f"--runtime {source}: expected {name} of onnxruntime-web {VERSION} ({digest[:16]}…), got "
                    f"another file ({actual[:16]}…). {_HOW}"
                )
    return contents


def integrity(content: bytes) -> str:
    """Return the SHA-384 in the form of subresource integrity (https://www.w3.org/TR/SRI/)."""
    return "sha384-" + base64.b64encode(hashlib.sha384(content).digest()).decode()


def entry(path: Path, folder: Path) -> dict[str, Any]:
    """Return address and hash of a large file of the page; the address changes with the content."""
    content = path.read_bytes()
    version = hashlib.sha256(content).hexdigest()[:12]
    return {
        "url": f"{path.relative_to(folder).as_posix()}?v={version}",
        "integrity": integrity(content),
        "packed": False,
    }


@contextmanager
def _opened(source: Path) -> Iterator[Any]:
    """Yield a function that reads one of the package's files by its name."""
    if not source.exists():
        raise FerError(f"--runtime {source}: expected the npm package {PACKAGE}, got no such file. {_HOW}")
    if source.is_dir():
        yield lambda name: _read_file(source, name)
        return
    try:
        with tarfile.open(source, "r:gz") as archive:
            yield lambda name: _read_member(archive, source, name)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise FerError(
            f"--runtime {source}: expected a folder or archive of {PACKAGE}, got a file that cannot be read "
            f"({error}). {_HOW}"
        ) from None


def _read_file(source: Path, name: str) -> bytes:
    for place in _PLACES:
        if (path := source / place / name).is_file():
            return path.read_bytes()
    raise _missing(source, name)


def _read_member(archive: tarfile.TarFile, source: Path, name: str) -> bytes:
    try:
        file = archive.extractfile(f"package/dist/{name}")
    except KeyError:
        file = None
    if file is None:
        raise _missing(source, name)
    return file.read()


def _missing(source: Path, name: str) -> FerError:
    return FerError(f"--runtime {source}: expected {name} of {PACKAGE}, but it is missing. {_HOW}")
