import threading
import time

import numpy as np
import pytest

from fer.errors import FerError
from fer.video.feed import Feed
from fer.video.frames import Frame

PICTURE = np.zeros((2, 2, 3), np.uint8)


def frames(count, rate=25.0):
    return (Frame(index, index / rate, PICTURE) for index in range(count))


def test_every_frame_of_a_film_comes_in_order():
    feed = Feed(frames(100))
    assert [frame.index for frame in feed] == list(range(100))
    assert feed.dropped == 0


def test_reading_waits_for_the_slower_side():
    """However long the film, only a few frames are held."""
    given = []
    feed = Feed(given.append(frame.index) or frame for frame in frames(1000))
    taken = iter(feed)
    for _ in range(10):
        next(taken)
        time.sleep(0.002)
    assert len(given) <= 10 + 6
    assert feed.close()


def test_the_newest_frame_comes_and_older_ones_are_counted():
    waiting, ready = threading.Event(), threading.Event()

    def camera():
        yield from frames(7)
        ready.set()
        waiting.wait(5)
        yield Frame(7, 1.0, PICTURE)

    feed = Feed(camera(), newest=True)
    taken = iter(feed)
    ready.wait(5)
    assert next(taken).index == 6
    assert feed.dropped == 6
    waiting.set()
    assert [frame.index for frame in taken] == [7]


def test_an_error_comes_after_the_frames_before_it():
    def broken():
        yield from frames(3)
        raise FerError("pulled out")

    feed, seen = Feed(broken()), []
    with pytest.raises(FerError, match="pulled out"):
        seen.extend(feed)
    assert [frame.index for frame in seen] == [0, 1, 2]


def test_a_camera_that_hangs_is_given_up():
    hang = threading.Event()

    def camera():
        yield from frames(1)
        hang.wait(5)

    feed, seen = Feed(camera(), newest=True, patience=0.05), []
    with pytest.raises(FerError, match="No picture came"):
        seen.extend(feed)
    assert [frame.index for frame in seen] == [0]
    hang.set()
    assert feed.close()
