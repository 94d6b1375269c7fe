"""The model that serves, and the switch to another between two frames."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from robot_ai.backends.errors import PassUnderWayError
from robot_ai.pipeline.background import model_threads


class ServedModel(Protocol):
    """A detector that is loaded and warm. Used from one thread at a time."""

    @property
    def title(self) -> str:
        """The model, its backend and its device, for people."""

    @property
    def backend_name(self) -> str:
        """What it was loaded in: a backend, or `backend/variant`."""

    @property
    def detect(self) -> Any:
        """The method that takes a batch and its settings, and gives what was found."""

    def close(self) -> None:
        """Frees the model."""


Served = TypeVar("Served", bound=ServedModel)


def close(detector: ServedModel) -> None:
    """Frees a model that nothing else needs."""
    detector.close()


class ModelHolder(Generic[Served]):
    """Gives every batch to the current detector; one that was replaced is retired once its last pass has ended.

    `settings` is what the detector is given after each batch. It changes in the same moment as the detector: what is
    meant for one model, such as a filter of its labels, may be wrong for another. A pass that never ends keeps its
    detector: native code cannot be stopped from outside, and freeing the memory under it would end the process. Until
    it ends its detector takes no other pass: backends are written for one at a time. Thread-safe.
    """

    def __init__(self, detector: Served, *settings: Any, retire: Callable[[Served], object] = close) -> None:
        """`retire` is what is done with a detector that was replaced, in a thread of its own: it is closed."""
        self._lock = threading.Lock()
        self._retire = retire
        self._current = detector
        self._settings = settings
        self._passes: Counter[int] = Counter()
        self._started: float | None = None

    @property
    def current(self) -> Served:
        """The detector that takes the next batch."""
        return self._current

    def detect(self, *given: Any) -> Any:
        """One pass of the current detector, with its settings; gives what its `detect` gives, raises what it raises.

        Raises PassUnderWayError when it is still at another.
        """
        with self._lock:
            detector, settings = self._current, self._settings
            if self._passes[id(detector)]:
                raise PassUnderWayError(
                    f"{detector.title} is still at a forward pass that was given up; expected it to be over. Frames "
                    "are dropped until it is, or until another backend serves: name one in fallback_backends"
                )
            self._passes[id(detector)] += 1
            self._started = started = time.monotonic()
        try:
            return detector.detect(*given, *settings)
        finally:
            with self._lock:
                self._passes[id(detector)] -= 1
                # An abandoned pass that ends late must not hide that a later one is under way.
                if self._started == started:
                    self._started = None
                finished = detector is not self._current and not self._passes[id(detector)]
            if finished:
                self._let_go(detector)

    def busy_for(self, now: float) -> float:
        """Seconds since the pass under way began; 0 when there is none."""
        started = self._started
        return 0.0 if started is None else now - started

    def give_up(self) -> None:
        """The pass under way was abandoned: what `busy_for` says is about later ones."""
        with self._lock:
            self._started = None

    def adjust(self, *settings: Any) -> None:
        """Gives the current detector other settings, from the next batch on."""
        with self._lock:
            self._settings = settings

    def switch(self, detector: Served, *settings: Any) -> None:
        """Makes `detector` the current one, with these settings, from the next batch on."""
        with self._lock:
            old, self._current, self._settings = self._current, detector, settings
            idle = not self._passes[id(old)]
        if idle:
            self._let_go(old)

    def close(self) -> None:
        """Frees the current detector unless a pass of it is still under way."""
        with self._lock:
            idle = not self._passes[id(self._current)]
        if idle:
            self._current.close()

    def _let_go(self, detector: Served) -> None:
        # Closing can take longer than a frame.
        model_threads.start(lambda: self._retire(detector))
