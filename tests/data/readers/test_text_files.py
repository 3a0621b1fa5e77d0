"""Errors for missing files and files of another format."""

import gzip
import os

import pytest

from fer.core.errors import FerError
from fer.data.readers.text_files import open_text

EXPECTED = "a table"


def error_message(path) -> str:
    with pytest.raises(FerError) as caught, open_text(path, EXPECTED):
        pass
    assert str(path) in str(caught.value)
    assert f"expected {EXPECTED}" in str(caught.value)
    return str(caught.value)


def test_a_byte_order_mark_is_skipped(tmp_path):
    for start in (b"", b"\xef\xbb\xbf"):
        (tmp_path / "a.csv").write_bytes(start + b"emotion\n")
        with open_text(tmp_path / "a.csv", EXPECTED) as file:
            assert file.read() == b"emotion\n"


def test_missing_file_suggests_a_similar_name(tmp_path):
    (tmp_path / "fer2013.csv").touch()
    assert "Did you mean 'fer2013.csv'?" in error_message(tmp_path / "Fer2013.cvs")


def test_missing_file_without_a_similar_name_lists_the_csv_files(tmp_path):
    (tmp_path / "unlike.csv").touch()
    assert "is a folder with unlike.csv" in error_message(tmp_path / "xyz")


def test_a_missing_folder_is_reported(tmp_path):
    assert f"The folder {tmp_path / 'gone'} does not exist either" in error_message(
        tmp_path / "gone" / "fer2013.csv"
    )


def test_a_path_through_a_file_is_a_missing_file(tmp_path):
    (tmp_path / "file").touch()
    assert "no such file" in error_message(tmp_path / "file" / "fer2013.csv")


def test_a_folder_is_rejected_and_its_csv_files_are_listed(tmp_path):
    (tmp_path / "fer2013.csv").touch()
    assert "got a folder with fer2013.csv. Give the path of the file" in error_message(tmp_path)


def test_a_pipe_is_rejected_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "got a device or pipe" in error_message(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["a\0b", "a" * 300])
def test_invalid_names_are_rejected(tmp_path, name):
    assert "cannot be read" in error_message(tmp_path / name)


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"\xef\xbb\xbf", b"   "])
def test_empty_file(tmp_path, raw):
    (tmp_path / "a.csv").write_bytes(raw)
    assert "line 1: expected a table, got an empty file" in error_message(tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf16_is_detected_with_and_without_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(("emotion,pixels,Usage\n" * 9).encode(encoding))
    assert "got UTF-16 text. Save it as UTF-8" in error_message(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a binary file"),
        (b"PK\x03\x04\x14\0", "a ZIP archive. Unpack it"),
        (gzip.compress(b"emotion", mtime=0), "a gzip archive. Unpack it"),
        (b"<!DOCTYPE html><html>", "a web page"),
    ],
)
def test_other_formats_are_named(tmp_path, raw, kind):
    (tmp_path / "a.csv").write_bytes(raw)
    assert f"got {kind}" in error_message(tmp_path / "a.csv")
