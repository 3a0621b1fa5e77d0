"""The pool of detector objects for threads."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fer.faces.base import ObjectPool


def test_sequential_threads_share_one_object():
    created = []
    pool = ObjectPool(lambda: created.append(object()) or created[-1])

    def borrow():
        with pool.borrow():
            pass

    for _ in range(5):
        thread = threading.Thread(target=borrow)
        thread.start()
        thread.join()
    assert len(created) == 1


def test_concurrent_threads_never_share_an_object():
    created, busy, clashes = [], set(), []
    pool, all_started = ObjectPool(lambda: created.append(object()) or created[-1]), threading.Barrier(4)

    def borrow(number):
        with pool.borrow() as item:
            clashes.extend([item] * (item in busy))
            busy.add(item)
            if number < 4:
                all_started.wait(timeout=30)
            busy.remove(item)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(borrow, range(200)))
    assert not clashes
    assert len(created) == 4


def test_an_error_returns_the_object():
    pool = ObjectPool(object)
    with pytest.raises(ValueError, match="lost"), pool.borrow() as first:
        raise ValueError("lost")
    with pool.borrow() as second:
        assert second is first
