"""The runtime of the web page: pinned, checked, copied or from the CDN."""

import gzip
import tarfile

import pytest

from fer.core.errors import FerError
from fer.web import runtime
from fer.web.runtime import cdn_runtime, copy_runtime, integrity, read_runtime

CONTENTS = {"a.mjs": b"export {}", "a.wasm": b"\0asm" + bytes(1000), "b.mjs": b"1", "b.wasm": b"\0asm2"}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An unpacked package with other files than the real one."""
    digests = {name: integrity(content) for name, content in CONTENTS.items()}
    files = {
        backend: {
            "module": (f"{key}.mjs", digests[f"{key}.mjs"]),
            "binary": (f"{key}.wasm", digests[f"{key}.wasm"]),
        }
        for backend, key in (("wasm", "a"), ("webgpu", "b"))
    }
    monkeypatch.setattr(runtime, "FILES", files)
    folder = tmp_path / "unpacked" / "package" / "dist"
    folder.mkdir(parents=True)
    for name, content in CONTENTS.items():
        (folder / name).write_bytes(content)
    return tmp_path / "unpacked"


@pytest.fixture
def archive(package, tmp_path):
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as file:
        file.add(package / "package", "package")
    return path


@pytest.mark.parametrize("place", [".", "package", "package/dist"])
def test_a_package_is_found_by_any_of_its_folders(package, place):
    assert read_runtime(package / place) == CONTENTS


def test_a_copy_is_compressed_and_checked_by_the_browser(archive, tmp_path):
    page = tmp_path / "page"
    page.mkdir()
    entry = copy_runtime(archive, page)
    binary = entry["wasm"]["binary"]
    path = page / binary["url"].partition("?v=")[0]
    assert path.name == "a.wasm.bin"
    assert gzip.decompress(path.read_bytes()) == CONTENTS["a.wasm"]
    assert binary["packed"]
    # The hash is that of the file as it is loaded.
    assert binary["integrity"] == integrity(path.read_bytes())
    assert not entry["webgpu"]["module"]["packed"]
    assert (page / "runtime" / "b.mjs").read_bytes() == b"1"


def test_a_changed_file_is_refused(package):
    (package / "package" / "dist" / "b.wasm").write_bytes(b"other")
    with pytest.raises(
        FerError, match=r"--runtime .*: expected b\.wasm of onnxruntime-web .*got another file"
    ):
        read_runtime(package)


def test_a_missing_file_is_named(package, archive):
    (package / "package" / "dist" / "a.mjs").unlink()
    with pytest.raises(FerError, match=r"expected a\.mjs of onnxruntime-web@.*missing"):
        read_runtime(package)
    with tarfile.open(archive, "w:gz"):
        pass
    with pytest.raises(FerError, match=r"expected a\.mjs of onnxruntime-web@.*missing"):
        read_runtime(archive)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FerError, match="no such file"):
        read_runtime(tmp_path / "none")
    (tmp_path / "text.tgz").write_text("text")
    with pytest.raises(FerError, match="a file that cannot be read"):
        read_runtime(tmp_path / "text.tgz")


def test_the_cdn_has_the_pinned_version_and_hashes():
    entry = cdn_runtime()
    assert set(entry) == {"wasm", "webgpu"}
    for parts in entry.values():
        for part in parts.values():
            assert part["url"].startswith(
                f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{runtime.VERSION}/dist/"
            )
            assert part["integrity"].startswith("sha384-")
