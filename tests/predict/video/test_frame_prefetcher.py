"""Frames read ahead by a thread, from videos and cameras."""

import threading
import time

import numpy as np
import pytest

from fer.core.errors import FerError
from fer.predict.video.reader import Frame, FramePrefetcher

IMAGE = np.zeros((2, 2, 3), np.uint8)


def frames(count, rate=25.0):
    return (Frame(index, index / rate, IMAGE) for index in range(count))


def test_all_frames_of_a_video_are_yielded_in_order():
    prefetcher = FramePrefetcher(frames(100))
    assert [frame.index for frame in prefetcher] == list(range(100))
    assert prefetcher.dropped == 0


def test_reading_waits_for_the_consumer():
    """Only a few frames are held in memory, whatever the length of the video."""
    read_indices = []
    prefetcher = FramePrefetcher(read_indices.append(frame.index) or frame for frame in frames(1000))
    iterator = iter(prefetcher)
    for _ in range(10):
        next(iterator)
        time.sleep(0.002)
    assert len(read_indices) <= 10 + 6
    assert prefetcher.close()


def test_a_camera_yields_the_latest_frame_and_counts_older_ones_as_dropped():
    waiting, ready = threading.Event(), threading.Event()

    def camera():
        yield from frames(7)
        ready.set()
        waiting.wait(5)
        yield Frame(7, 1.0, IMAGE)

    prefetcher = FramePrefetcher(camera(), latest_only=True)
    iterator = iter(prefetcher)
    ready.wait(5)
    assert next(iterator).index == 6
    assert prefetcher.dropped == 6
    waiting.set()
    assert [frame.index for frame in iterator] == [7]


def test_an_error_is_raised_after_the_frames_before_it():
    def broken():
        yield from frames(3)
        raise FerError("unplugged")

    prefetcher, seen = FramePrefetcher(broken()), []
    with pytest.raises(FerError, match="unplugged"):
        seen.extend(prefetcher)
    assert [frame.index for frame in seen] == [0, 1, 2]


def test_a_hanging_camera_times_out():
    hang = threading.Event()

    def camera():
        yield from frames(1)
        hang.wait(5)

    prefetcher, seen = FramePrefetcher(camera(), latest_only=True, timeout=0.05), []
    with pytest.raises(FerError, match="expected a frame, got none"):
        seen.extend(prefetcher)
    assert [frame.index for frame in seen] == [0]
    hang.set()
    assert prefetcher.close()
