"""Models loaded and closed beside the frames, in threads that are used again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

Task = Callable[[], object]


class BackgroundThreads:
    """Runs every task at once, in the oldest thread that is idle, or else in a new one. Thread-safe.

    glibc gives each new thread a heap of its own, and what was freed at a heap's end stays with it: with a thread for
    each load a node's memory grew for some fifty swaps, until every heap had seen the largest model. So one thread
    does all of it, unless a task hangs: the others do not wait for it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._count = 0
        self._idle: dict[int, SimpleQueue[Task]] = {}

    @property
    def busy(self) -> bool:
        """Whether a task is under way."""
        with self._lock:
            return len(self._idle) < self._count

    def start(self, task: Task) -> None:
        """Begins the task; what it raises is logged."""
        with self._lock:
            number = min(self._idle, default=None)
            if number is not None:
                inbox = self._idle.pop(number)
            else:
                self._count += 1
                number, inbox = self._count, SimpleQueue()
                self._new_thread(number, inbox)
            inbox.put(task)

    def _new_thread(self, number: int, inbox: SimpleQueue[Task]) -> None:
        name = f"{self._name}_{number}"
        threading.Thread(target=self._serve, args=(number, inbox), name=name, daemon=True).start()

    def _serve(self, number: int, inbox: SimpleQueue[Task]) -> None:
        while True:
            self._do(inbox.get())
            with self._lock:
                self._idle[number] = inbox

    def _do(self, task: Task) -> None:
        """In a frame of its own: an idle thread must not hold on to the model that it closed."""
        try:
            task()
        except Exception:
            logging.getLogger(__name__).exception("%s failed", self._name)


# The process has one heap for them, whichever of its nodes swaps.
model_threads = BackgroundThreads("model_swap")
