"""The dataset cache: stale, damaged and concurrent entries."""

import json
import os
import subprocess
import sys
import time
import warnings
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer.core.errors import FerError
from fer.core.labels import FER7, LabelSpace
from fer.data.cache import CacheKey, cached, file_key, joint_key
from fer.data.dataset import EmotionData

KEY = CacheKey("source", "state 1")


def make_data(num: int = 5, channels: int = 1, labels: LabelSpace = FER7) -> EmotionData:
    rng = np.random.default_rng(num)
    return EmotionData(
        images=rng.integers(0, 256, (num, 6, 4, channels), dtype=np.uint8),
        targets=rng.integers(-1, 7, num),
        split=rng.integers(0, 2, num).astype(np.uint8),
        split_names=("a", "b"),
        roles={"train": "a", "val": "b"},
        labels=labels,
        source="random",
    )


def assert_same(got: EmotionData, expected: EmotionData) -> None:
    for field in fields(EmotionData):
        a, b = getattr(got, field.name), getattr(expected, field.name)
        if isinstance(b, np.ndarray):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b


class Reader:
    """Return the data and count the calls."""

    def __init__(self, data: EmotionData) -> None:
        self.data, self.calls = data, 0

    def __call__(self) -> EmotionData:
        self.calls += 1
        return self.data


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("num", [1, 5, 64])
def test_the_second_call_maps_the_stored_entry(num, channels):
    reader = Reader(make_data(num, channels, LabelSpace("mine", tuple("abcdefg"))))
    for _ in range(2):
        data = cached(KEY, reader)
        assert_same(data, reader.data)
        assert isinstance(data.images, np.memmap)
        assert not data.images.flags.writeable
        assert data.targets.flags.writeable
    assert reader.calls == 1


def test_votes_and_dropped_counts_are_stored():
    votes = np.random.default_rng(0).random((5, 7)).astype(np.float32)
    reader = Reader(replace(make_data(), votes=votes, dropped={"no majority": 3}))
    for _ in range(2):
        assert_same(cached(KEY, reader), reader.data)
    assert reader.calls == 1


def test_joint_key_distinguishes_files_and_options():
    a, b, changed = CacheKey("a", "1"), CacheKey("b", "1"), CacheKey("b", "2")
    key = joint_key([a, b], {"contempt": True})
    assert joint_key([a, b], {"contempt": True}) == key
    # An equal source replaces the older entry.
    assert joint_key([a, changed], {"contempt": True}).source == key.source
    others = [joint_key([a, changed], {"contempt": True}), joint_key([a, b], {"contempt": False})]
    assert len({key.filename, *(other.filename for other in others)}) == 3


def test_arrays_need_not_be_contiguous():
    data = make_data(6)
    reader = Reader(replace(data, images=data.images[::2], targets=data.targets[::2], split=data.split[::2]))
    assert_same(cached(KEY, reader), reader.data)


def test_an_error_of_the_reader_is_raised_and_nothing_is_stored(folder):
    def fail() -> EmotionData:
        raise FerError("line 3")

    with pytest.raises(FerError, match="line 3"):
        cached(KEY, fail)
    assert not folder.exists()


def test_a_stale_entry_is_replaced_and_other_sources_remain(folder):
    cached(KEY, Reader(make_data(1)))
    cached(CacheKey("another source", "state 1"), Reader(make_data(2)))
    reader = Reader(make_data(3))
    assert_same(cached(CacheKey("source", "state 2"), reader), reader.data)
    assert reader.calls == 1
    assert len(list(folder.iterdir())) == 2
    assert_same(cached(CacheKey("another source", "state 1"), reader), make_data(2))


def entry(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


@settings(max_examples=60, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_detected(tmp_path_factory, position, bit):
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("FER_CACHE_DIR", str(folder))
        reader = Reader(make_data())
        cached(KEY, reader)
        raw = bytearray(entry(folder).read_bytes())
        raw[int(position * len(raw))] ^= 1 << bit
        entry(folder).write_bytes(raw)
        assert_same(cached(KEY, reader), reader.data)
        assert reader.calls == 2
        cached(KEY, reader)
        assert reader.calls == 2


DAMAGE = {
    "empty": lambda raw: b"",
    "truncated": lambda raw: raw[:-1],
    "truncated in checksum": lambda raw: raw[:30],
    "longer": lambda raw: raw + b"\0",
    "other JSON": lambda raw: json.dumps({"format": 1}).encode() * 50,
    "other bytes": lambda raw: bytes(range(256)) * 9,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_entry_is_rebuilt(folder, damage):
    reader = Reader(make_data())
    cached(KEY, reader)
    entry(folder).write_bytes(damage(entry(folder).read_bytes()))
    assert_same(cached(KEY, reader), reader.data)
    assert_same(cached(KEY, reader), reader.data)
    assert reader.calls == 2


def test_a_valid_entry_of_another_key_is_not_used(folder):
    cached(CacheKey("other", "state 1"), Reader(make_data(1)))
    entry(folder).rename(folder / KEY.filename)
    reader = Reader(make_data(2))
    assert_same(cached(KEY, reader), reader.data)


def test_data_remains_valid_after_its_entry_is_deleted(folder):
    data = cached(KEY, Reader(make_data()))
    entry(folder).unlink()
    assert_same(data, make_data())


def test_old_temporary_files_are_removed(folder):
    folder.mkdir()
    for name, age in (("old.tmp", 7200), ("fresh.tmp", 0)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    cached(KEY, Reader(make_data()))
    assert {path.name for path in folder.iterdir()} == {"fresh.tmp", KEY.filename}


def test_an_unwritable_folder_gives_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FER_CACHE_DIR", str(tmp_path / "file" / "cache"))
    reader = Reader(make_data())
    for calls in (1, 2):
        with pytest.warns(UserWarning, match="without a cache: .*Set FER_CACHE_DIR"):
            assert_same(cached(KEY, reader), reader.data)
        assert reader.calls == calls


def test_a_full_disk_gives_a_warning_and_leaves_no_file(folder, monkeypatch):
    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fer.data.cache._write", fail)
    with pytest.warns(UserWarning, match="No space left on device"):
        assert_same(cached(KEY, Reader(make_data())), make_data())
    assert list(folder.iterdir()) == []


RACE = """
import sys, time
import numpy as np
from fer.data.cache import CacheKey, cached
from fer.data.dataset import EmotionData
from fer.core.labels import FER7

images = np.full((2000, 48, 48, 1), 7, np.uint8)
targets, split = np.zeros(2000, np.int64), np.zeros(2000, np.uint8)
DATA = EmotionData(images, targets, split, ("a",), {"train": "a"}, FER7, "random")

print("ready", flush=True)
sys.stdin.readline()
for _ in range(20):
    data = cached(CacheKey("source", "state 1"), lambda: time.sleep(0.2) or DATA)
    assert (data.images == 7).all() and data.images.shape == DATA.images.shape
"""


@pytest.mark.parametrize("before", [None, b"damaged"])
def test_processes_that_start_together_all_get_the_data(folder, before):
    folder.mkdir()
    if before:
        (folder / KEY.filename).write_bytes(before)
    command = [sys.executable, "-W", "error", "-c", RACE]
    pipe, root = subprocess.PIPE, Path(__file__).parents[2]
    workers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) for _ in range(3)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.communicate("go\n")
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    assert entry(folder).name == KEY.filename


@pytest.mark.slow
def test_real_file_is_mapped_within_a_fifth_of_a_second():
    if "FER_DATA_DIR" not in os.environ:
        pytest.skip("FER_DATA_DIR, the folder of fer2013.csv, is not set")
    from fer.data.readers.fer2013 import VERSION, read_fer2013

    path = Path(os.environ["FER_DATA_DIR"]) / "fer2013.csv"
    key = file_key(path, "fer2013", VERSION)
    first = cached(key, lambda: read_fer2013(path))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        data = cached(key, lambda: pytest.fail("the file was read again"))
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.2
    assert_same(data, first)


def test_no_warning_without_a_problem():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cached(KEY, Reader(make_data()))
