"""The reader of FER2013: both layouts, unusual and damaged files."""

import contextlib
import csv
import io
import os
import time
from pathlib import Path

import numpy as np
import pytest
from fer2013_text import HEADERS, make_rows, to_text, write
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.core.errors import FerError
from fer.core.labels import FER7
from fer.data.readers import fer2013
from fer.data.readers.fer2013 import read_fer2013
from fer.data.splits import manifest


def parse_with_csv_module(raw: bytes) -> tuple[np.ndarray, list[int], list[str]]:
    """Parse a file with the csv module and int(), as the reference."""
    text = raw.decode("utf-8-sig")
    lines = [line for line in text.split("\n") if line.strip()]
    rows = list(csv.reader(io.StringIO("\n".join(lines), newline=""), strict=True))
    names = [name.strip().lower() for name in rows[0]]
    records = [dict(zip(names, row, strict=True)) for row in rows[1:]]
    pixels = np.array([[int(value) for value in record["pixels"].split()] for record in records])
    assert pixels.min() >= 0
    assert pixels.max() <= 255
    return pixels, [int(r["emotion"]) for r in records], [r["usage"].strip() for r in records]


def assert_equals_csv_module(path: Path) -> None:
    data = read_fer2013(path)
    pixels, labels, usages = parse_with_csv_module(path.read_bytes())
    np.testing.assert_array_equal(data.images, pixels.reshape(-1, 48, 48, 1))
    assert data.targets.tolist() == labels
    assert [data.split_names[i] for i in data.split] == usages


@pytest.mark.parametrize("layout", HEADERS)
def test_reads_both_layouts(tmp_path, layout):
    path = write(tmp_path, to_text(make_rows(70), HEADERS[layout]))
    data = read_fer2013(path)
    assert_equals_csv_module(path)
    assert (data.images.dtype, data.targets.dtype, data.split.dtype) == (np.uint8, np.int64, np.uint8)
    assert data.images.shape == (70, 48, 48, 1)
    assert data.roles == {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
    assert data.labels is FER7
    assert len(data) == 70


def test_both_layouts_have_the_same_manifest(tmp_path):
    rows = make_rows(20)
    paths = [write(tmp_path, to_text(rows, header), f"{layout}.csv") for layout, header in HEADERS.items()]
    first, second = (manifest(read_fer2013(path), hide_test_labels=False) for path in paths)
    assert first == second


@settings(max_examples=60, deadline=None)
@given(
    num_rows=st.integers(2, 5),
    seed=st.integers(0, 1 << 30),
    header=st.sampled_from([*HEADERS.values(), "Usage,pixels,emotion", '"emotion","pixels","Usage"']),
    newline=st.sampled_from(["\n", "\r\n"]),
    quote=st.sampled_from(["", '"']),
    end=st.sampled_from(["", "\n", "\n\n  \n", "no newline"]),
    bom=st.booleans(),
    double_spaces=st.booleans(),
    block_rows=st.integers(1, 6),
)
def test_random_layouts_equal_the_csv_module(
    tmp_path_factory, num_rows, seed, header, newline, quote, end, bom, double_spaces, block_rows
):
    rows = make_rows(num_rows, seed)
    text = to_text(rows, header.replace('"', ""), newline, quote)
    text = text.replace(header.replace('"', ""), header)
    text = text.rstrip() if end == "no newline" else text + end
    text = text.replace(" ", "  ") if double_spaces else text
    path = write(tmp_path_factory.getbasetemp(), b"\xef\xbb\xbf" * bom + text.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fer2013, "_BLOCK_ROWS", block_rows)
        assert_equals_csv_module(path)


@pytest.mark.parametrize("options", [{}, {"newline": "\r\n"}, {"quote": '"'}, {"header": HEADERS["icml"]}])
def test_ordinary_files_use_only_the_fast_path(tmp_path, monkeypatch, options):
    monkeypatch.setattr(fer2013, "_parse_row", None)
    assert len(read_fer2013(write(tmp_path, to_text(make_rows(40), **options)))) == 40


def test_the_strict_parser_accepts_unusual_valid_files(tmp_path):
    path = write(tmp_path, to_text(make_rows(3)).replace(" ", "\t"))
    assert_equals_csv_module(path)


def test_every_pixel_value_at_every_position_of_a_block(tmp_path):
    rows = make_rows(3)
    for row, shift in zip(rows, range(3), strict=True):
        row["pixels"] = " ".join(str((i + shift) % 256) for i in range(2304))
    assert_equals_csv_module(write(tmp_path, to_text(rows)))


def test_additional_columns_are_ignored(tmp_path):
    rows = [{**row, "id": "x7"} for row in make_rows(3)]
    data = read_fer2013(write(tmp_path, to_text(rows, "id,emotion,pixels,Usage")))
    assert len(data) == 3


def test_a_file_without_private_test_has_no_test_role(tmp_path):
    rows = [row for row in make_rows(30) if row["Usage"] != "PrivateTest"]
    assert read_fer2013(write(tmp_path, to_text(rows))).roles == {"train": "Training", "val": "PublicTest"}


def test_tilde_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, to_text(make_rows(2)))
    assert len(read_fer2013("~/fer2013.csv")) == 2


@settings(max_examples=150, deadline=None)
@given(
    position=st.floats(0, 1, exclude_max=True),
    removed=st.sampled_from([0, 1, 2, 9000]),
    added=st.text('0123456789 ,"\n-x', max_size=4).map(str.encode) | st.binary(max_size=3),
)
def test_mutated_files_are_read_correctly_or_rejected(tmp_path_factory, position, removed, added):
    good = to_text(make_rows(3)).encode()
    start = int(position * len(good))
    raw = good[:start] + added.replace(b"\r", b"") + good[start + removed :]
    path = write(tmp_path_factory.getbasetemp(), raw, "mutated.csv")
    with contextlib.suppress(FerError):
        read_fer2013(path)
        # Reached only if the file was accepted.
        assert_equals_csv_module(path)


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200), header=st.sampled_from([b"", b"emotion,pixels,Usage\n"]))
def test_random_bytes_are_rejected(tmp_path_factory, raw, header):
    with pytest.raises(FerError):
        read_fer2013(write(tmp_path_factory.getbasetemp(), header + raw, "random.csv"))


@pytest.fixture(scope="session")
def real_file() -> Path:
    if "FER_DATA_DIR" not in os.environ:
        pytest.skip("FER_DATA_DIR, the folder of fer2013.csv, is not set")
    return Path(os.environ["FER_DATA_DIR"]) / "fer2013.csv"


@pytest.mark.slow
def test_real_file_has_the_published_counts_and_pixels(real_file):
    data = read_fer2013(real_file)
    counts = np.bincount(data.split, minlength=3)
    assert counts[:2].tolist() == [28709, 3589]
    # https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge
    assert np.bincount(data.targets[data.split == 0]).tolist() == [3995, 436, 4097, 7215, 4830, 3171, 4965]
    lines = real_file.read_bytes().splitlines(keepends=True)
    sample = np.sort(np.random.default_rng(0).choice(len(data), 500, replace=False))
    pixels, labels, usages = parse_with_csv_module(b"".join([lines[0], *(lines[i + 1] for i in sample)]))
    np.testing.assert_array_equal(data.images[sample].reshape(500, -1), pixels)
    assert data.targets[sample].tolist() == labels
    assert [data.split_names[i] for i in data.split[sample]] == usages


def test_real_file_is_read_within_three_seconds_of_processor_time(real_file):
    start = time.process_time()
    read_fer2013(real_file)
    assert time.process_time() - start < 3.0
