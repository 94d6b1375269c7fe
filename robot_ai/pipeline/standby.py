"""Models that stand by while they do not serve, so that a swap to one loads nothing."""

from __future__ import annotations

import threading
from typing import Generic

from robot_ai.backends.loading import BackendChoice
from robot_ai.pipeline.model_holder import Served


class StandbyModels(Generic[Served]):
    """Keeps the models that were put in, through every swap; any other that is given back is closed. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[BackendChoice, Served] = {}
        self._idle: set[BackendChoice] = set()

    def put(self, choice: BackendChoice, detector: Served, serves: bool = False) -> None:
        """Keeps a model from now on; one that serves stands by once it is given back."""
        with self._lock:
            self._kept[choice] = detector
            if not serves:
                self._idle.add(choice)

    def take(self, choice: BackendChoice) -> Served | None:
        """The model that stands by for this choice, to be given back when it is no longer used; None without one."""
        with self._lock:
            if choice not in self._idle:
                return None
            self._idle.remove(choice)
            return self._kept[choice]

    def give_back(self, detector: Served) -> None:
        """A model of which no pass is under way: it stands by again if it is kept, and is closed otherwise."""
        with self._lock:
            kept = next((choice for choice, own in self._kept.items() if own is detector), None)
            if kept is not None:
                self._idle.add(kept)
        if kept is None:
            detector.close()

    def forget(self, detector: Served) -> None:
        """Keeps a model that serves no longer, since it failed: it is closed when it is given back."""
        with self._lock:
            self._kept = {choice: own for choice, own in self._kept.items() if own is not detector}

    def close(self) -> None:
        """Closes the models that stand by and keeps none any longer."""
        with self._lock:
            idle = [self._kept[choice] for choice in self._idle]
            self._kept, self._idle = {}, set()
        for detector in idle:
            detector.close()
