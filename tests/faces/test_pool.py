import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fer.faces.pool import Pool


def test_one_is_enough_for_threads_that_come_one_after_the_other():
    made = []
    pool = Pool(lambda: made.append(object()) or made[-1])

    def borrow():
        with pool.one():
            pass

    for _ in range(5):
        thread = threading.Thread(target=borrow)
        thread.start()
        thread.join()
    assert len(made) == 1


def test_nobody_shares_one():
    made, busy, clashes = [], set(), []
    pool, all_there = Pool(lambda: made.append(object()) or made[-1]), threading.Barrier(4)

    def borrow(turn):
        with pool.one() as item:
            clashes.extend([item] * (item in busy))
            busy.add(item)
            if turn < 4:
                all_there.wait(timeout=30)
            busy.remove(item)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(borrow, range(200)))
    assert not clashes
    assert len(made) == 4


def test_an_error_gives_it_back():
    pool = Pool(object)
    with pytest.raises(ValueError, match="lost"), pool.one() as first:
        raise ValueError("lost")
    with pool.one() as second:
        assert second is first
