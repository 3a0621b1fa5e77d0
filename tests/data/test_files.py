import gzip
import os

import pytest

from fer.data.files import open_text
from fer.errors import FerError

EXPECTED = "a table"


def refusal(path) -> str:
    with pytest.raises(FerError) as caught, open_text(path, EXPECTED):
        pass
    assert str(path) in str(caught.value)
    assert f"expected {EXPECTED}" in str(caught.value)
    return str(caught.value)


def test_text_is_read_from_behind_the_byte_order_mark(tmp_path):
    for start in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "a.csv").write_bytes(start + b"emotion\n")
        with open_text(tmp_path / "a.csv", EXPECTED) as file:
            assert file.read() == b"emotion\n"


def test_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "fer2013.csv").touch()
    assert "Did you mean 'fer2013.csv'?" in refusal(tmp_path / "Fer2013.cvs")


def test_missing_file_without_a_like_neighbour_names_the_csv_files(tmp_path):
    (tmp_path / "unlike.csv").touch()
    assert "is a folder that holds unlike.csv" in refusal(tmp_path / "xyz")


def test_missing_folder_is_called_so(tmp_path):
    assert f"The folder {tmp_path / 'gone'} is missing too" in refusal(tmp_path / "gone" / "fer2013.csv")


def test_path_through_a_file_is_a_missing_file(tmp_path):
    (tmp_path / "file").touch()
    assert "no such file" in refusal(tmp_path / "file" / "fer2013.csv")


def test_folder_is_no_file_and_tells_what_it_holds(tmp_path):
    (tmp_path / "fer2013.csv").touch()
    assert "got a folder that holds fer2013.csv. Give the path of the file" in refusal(tmp_path)


def test_pipe_is_refused_and_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "got a device or pipe" in refusal(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["a\0b", "a" * 300])
def test_impossible_names_are_refused(tmp_path, name):
    assert "cannot be read" in refusal(tmp_path / name)


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf", b"   "])
def test_empty_file(tmp_path, raw):
    (tmp_path / "a.csv").write_bytes(raw)
    assert "line 1: expected a table, got an empty file" in refusal(tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_recognised_with_and_without_its_mark(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(("emotion,pixels,Usage\n" * 9).encode(encoding))
    assert "got UTF-16 text. Save it as UTF-8" in refusal(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a binary file"),
        (b"PK\x03\x04\x14\0", "a ZIP archive. Unpack it"),
        (gzip.compress(b"emotion", mtime=0), "a gzip archive. Unpack it"),
        (b"<!DOCTYPE html><html>", "a web page"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, raw, kind):
    (tmp_path / "a.csv").write_bytes(raw)
    assert f"got {kind}" in refusal(tmp_path / "a.csv")
