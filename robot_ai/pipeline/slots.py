"""Depth-one mailboxes between callbacks that must not wait and the worker that takes its time."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class NewestSlots(Generic[Key, Item]):
    """One slot per source, each holding only its newest item.

    The consumer takes every filled slot at once, so that no source starves another. Safe for any number of producers.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self._items: dict[Key, Item] = {}
        self._keys = tuple(keys)
        self._changed = threading.Condition()
        self._closed = False

    def put(self, key: Key, item: Item) -> Item | None:
        """Stores the item and returns what it displaced: the older item that nobody took, if any.

        After `close` nothing is stored and the item itself comes back.
        """
        with self._changed:
            if self._closed:
                return item
            displaced = self._items.get(key)
            self._items[key] = item
            self._changed.notify()
            return displaced

    def take_all(self, timeout: float | None = None) -> list[tuple[Key, Item]]:
        """Waits until a slot is filled and empties all, in the order of the keys; empty on a timeout or when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._closed, timeout)
            taken = [(key, self._items[key]) for key in self._keys if key in self._items]
            self._items.clear()
            return taken

    def close(self) -> list[tuple[Key, Item]]:
        """Wakes the consumer, refuses further items and returns those that nobody took."""
        with self._changed:
            self._closed = True
            left = list(self._items.items())
            self._items.clear()
            self._changed.notify_all()
            return left

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed
