"""Errors for invalid FER2013 files name the line."""

import time

import pytest
from fer2013_text import HEADERS, make_rows, to_text, write

from fer.core.errors import FerError
from fer.data.readers.fer2013 import read_fer2013
from fer.data.splits import check_training_classes


def test_an_endless_line_is_rejected_quickly(tmp_path):
    path = write(tmp_path, "emotion,pixels,Usage\n0," + "1 " * (20 << 20))
    start = time.process_time()
    with pytest.raises(FerError, match="line 2: expected 3 columns, got 2"):
        read_fer2013(path)
    assert time.process_time() - start < 2.0


def _replace(column: str, value: str):
    return lambda row: row | {column: value}


def _replace_first_pixel(value: str):
    return lambda row: row | {"pixels": f"{value} {row['pixels'].partition(' ')[2]}"}


BAD_ROWS = {
    "too few pixels": (lambda row: row | {"pixels": row["pixels"].rpartition(" ")[0]}, "2304 .*, got 2303"),
    "too many pixels": (lambda row: row | {"pixels": row["pixels"] + " 7"}, "2304 pixel values, got 2305"),
    "no pixels": (_replace("pixels", ""), "2304 pixel values, got 0"),
    "word": (_replace_first_pixel("abc"), "from 0 to 255, got 'abc' as pixel 1"),
    "fraction": (_replace_first_pixel("1.5"), "from 0 to 255, got '1.5'"),
    "negative": (_replace_first_pixel("-1"), "from 0 to 255, got '-1'"),
    "large": (_replace_first_pixel("256"), "from 0 to 255, got '256'"),
    "hundreds": (_replace_first_pixel("300"), "from 0 to 255, got '300'"),
    "huge": (_replace_first_pixel("1000"), "from 0 to 255, got '1000'"),
    "padded": (_replace_first_pixel("0007"), "from 0 to 255, got '0007'"),
    "beyond int()": (_replace_first_pixel("1" * 5000), "from 0 to 255, got '1111.*\\.\\.\\.'"),
    "label quote": (_replace("emotion", '"'), "emotion label .*, got '\"'"),
    "label 7": (_replace("emotion", "7"), "emotion label .*0 angry.*, got '7'"),
    "label -1": (_replace("emotion", "-1"), "emotion label .*, got '-1'"),
    "label word": (_replace("emotion", "happy"), "emotion label .*3 happy.*, got 'happy'"),
    "label empty": (_replace("emotion", ""), "emotion label .*, got ''"),
    "usage": (
        _replace("Usage", "PublicTests"),
        "expected Usage Training, PublicTest.*, got 'PublicTests'.*mean 'PublicTest'",
    ),
    "extra column": (_replace("Usage", "Training,1"), "expected 3 columns, got 4"),
}


# The first line, the last of a block, the first of the next block, and the last line.
@pytest.mark.parametrize("line", [2, 33, 34, 71])
@pytest.mark.parametrize("case", BAD_ROWS)
def test_an_invalid_row_is_named_by_its_line(tmp_path, case, line):
    damage, message = BAD_ROWS[case]
    rows = make_rows(70)
    rows[line - 2] = damage(rows[line - 2])
    with pytest.raises(FerError, match=rf"fer2013\.csv, line {line}: .*{message}.*[.?] .+"):
        read_fer2013(write(tmp_path, to_text(rows)))


def test_blank_lines_count_as_lines(tmp_path):
    rows = make_rows(3)
    rows[2]["emotion"] = "9"
    with pytest.raises(FerError, match="line 7: expected an emotion label"):
        read_fer2013(write(tmp_path, to_text(rows, newline="\n\n")))


def test_pixel_counts_are_checked_per_row(tmp_path):
    rows = make_rows(4)
    first, _, rest = rows[2]["pixels"].partition(" ")
    rows[1]["pixels"] += f" {first}"
    rows[2]["pixels"] = rest
    with pytest.raises(FerError, match="line 3: expected 2304 pixel values, got 2305"):
        read_fer2013(write(tmp_path, to_text(rows)))


@pytest.mark.parametrize("layout", HEADERS)
def test_a_truncated_file_is_reported(tmp_path, layout):
    text = to_text(make_rows(40), HEADERS[layout])[:-4000]
    with pytest.raises(FerError, match=r"line 41: expected .*truncated. Download it again"):
        read_fer2013(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "emotion,pixels\n0,1 2\n",
            "line 1: .*emotion, pixels and Usage, got 'emotion,pixels': usage is missing",
        ),
        ("emotion,Usage,usage,pixels\n", "line 1: .*usage occurs more than once"),
        ("0,1 2 3,Training\n", "line 1: .*emotion is missing"),
        ("emotion,pixels,Usage\n", "line 2: expected rows of images, got none"),
        ("emotion,pixels,Usage\n\n  \n", "line 2: expected rows of images, got none"),
        ("", "line 1: .*got an empty file"),
    ],
)
def test_invalid_header_or_no_rows(tmp_path, text, message):
    with pytest.raises(FerError, match=message):
        read_fer2013(write(tmp_path, text))


def test_no_training_rows(tmp_path):
    rows = [row | {"Usage": "PublicTest"} for row in make_rows(3)]
    data = read_fer2013(write(tmp_path, to_text(rows)))
    assert data.roles == {"val": "PublicTest"}
    with pytest.raises(FerError, match=r"expected a training split, got val \(PublicTest, 3 images\)"):
        check_training_classes(data)


def test_training_rows_of_only_one_class(tmp_path):
    rows = [row | {"emotion": "3"} for row in make_rows(3)]
    with pytest.raises(FerError, match="at least two emotions, got only happy"):
        check_training_classes(read_fer2013(write(tmp_path, to_text(rows))))
