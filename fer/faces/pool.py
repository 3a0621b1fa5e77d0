"""A pool of objects that are not thread-safe."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class ObjectPool(Generic[T]):
    """A thread-safe pool of objects that only one thread at a time may use. It grows on demand.

    One object per thread would cost more: a web server starts a new thread for every request, and OpenCV's
    detectors take 20 to 80 ms to create.

    Args:
        create: Returns a new object.
    """

    def __init__(self, create: Callable[[], T]) -> None:
        self._create = create
        self._idle: deque[T] = deque()

    @contextmanager
    def borrow(self) -> Iterator[T]:
        """Yield an idle object, the most recently used one, or a new one if all are in use."""
        try:
            item = self._idle.pop()
        except IndexError:
            item = self._create()
        try:
            yield item
        finally:
            self._idle.append(item)
