"""Objects that only one thread at a time may use, lent to whichever thread comes."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class Pool(Generic[T]):
    """As many objects as are in use at once, and no more. Safe to use from several threads.

    One object a thread would cost more: a web server takes a fresh thread for every request, and OpenCV's
    detectors take 20 to 80 ms to make.

    Args:
        make: Makes an object.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._idle: deque[T] = deque()

    @contextmanager
    def one(self) -> Iterator[T]:
        """Lend an object, the one used last where there is a choice."""
        try:
            item = self._idle.pop()
        except IndexError:
            item = self._make()
        try:
            yield item
        finally:
            self._idle.append(item)
