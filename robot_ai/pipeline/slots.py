"""Mailboxes between callbacks that must not wait and the worker that takes its time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class NewestSlots(Generic[Key, Item]):
    """One slot per source, each holding only its newest item, or its newest few while `hold` says so.

    The consumer takes an item of every filled slot at once, so that no source starves another. Safe for any number of
    producers.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self._waiting: dict[Key, deque[Item]] = {key: deque() for key in keys}
        self._depth = 1
        self._changed = threading.Condition()
        self._closed = False

    def hold(self, depth: int) -> None:
        """How many items of each source wait from now on until a newer one displaces the oldest (1 at first)."""
        self._depth = depth

    def put(self, key: Key, item: Item) -> list[Item]:
        """Stores the item and returns what it displaced: the older items that nobody took, if any.

        After `close` nothing is stored and the item itself comes back.
        """
        with self._changed:
            if self._closed:
                return [item]
            waiting = self._waiting[key]
            waiting.append(item)
            self._changed.notify()
            return [waiting.popleft() for _ in range(len(waiting) - self._depth)]

    def take_all(self, timeout: float | None = None) -> list[tuple[Key, Item]]:
        """Waits until a slot is filled and takes the oldest item of each, in the order of the keys.

        Empty on a timeout or when closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or any(self._waiting.values()), timeout)
            return [(key, waiting.popleft()) for key, waiting in self._waiting.items() if waiting]

    def close(self) -> list[tuple[Key, Item]]:
        """Wakes the consumer, refuses further items and returns those that nobody took."""
        with self._changed:
            self._closed = True
            left = [(key, item) for key, waiting in self._waiting.items() for item in waiting]
            for waiting in self._waiting.values():
                waiting.clear()
            self._changed.notify_all()
            return left

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed
