"""Loading the next model beside the one that serves."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic

from robot_ai.backends.loading import BackendChoice
from robot_ai.errors import RobotAIError
from robot_ai.pipeline.background import model_threads
from robot_ai.pipeline.model_holder import Served, close


@dataclass(frozen=True)
class Loaded(Generic[Served]):
    """How the newest request ended: a detector that is warm and verified, or why there is none."""

    ticket: int
    choice: BackendChoice
    detector: Served | None
    error: str


@dataclass(frozen=True)
class _Load:
    """A request, and the monotonic time in seconds at which it came."""

    ticket: int
    choice: BackendChoice
    began: float


class Swapper(Generic[Served]):
    """Loads models beside the frames; only the newest request counts, an older one's model is retired: closed again.

    Nothing here waits: whoever asks comes back for the result. A load that hangs holds up no later one. Thread-safe.
    """

    def __init__(self, load: Callable[[BackendChoice], Served], retire: Callable[[Served], object] = close) -> None:
        self._load = load
        self._retire = retire
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        self._newest: _Load | None = None
        self._loaded: Loaded[Served] | None = None

    @property
    def loading(self) -> BackendChoice | None:
        """What is being loaded, or waits to be taken."""
        newest = self._newest
        return newest.choice if newest else None

    def start(self, choice: BackendChoice) -> int:
        """Begins to load and returns a ticket; whatever was asked for before is superseded."""
        ticket = next(self._tickets)
        self._replace(_Load(ticket, choice, time.monotonic()))
        model_threads.start(lambda: self._run(ticket, choice))
        return ticket

    def give_up(self, limit: float, now: float) -> bool:
        """Ends a load that takes longer than `limit` seconds (0: never) as one that failed; returns whether it did.

        Its thread is abandoned. Should it end after all, its model is closed.
        """
        with self._lock:
            newest = self._newest
            if not limit or newest is None or self._loaded is not None or now - newest.began <= limit:
                return False
            error = f"it was not loaded within {limit:g} s; its thread is abandoned"
            self._loaded = Loaded(newest.ticket, newest.choice, None, error)
            # The load must not find its own ticket when it ends.
            self._newest = replace(newest, ticket=next(self._tickets))
            return True

    def cancel(self) -> None:
        """Drops what was asked for."""
        self._replace(None)

    def take(self) -> Loaded[Served] | None:
        """The newest request's result, once; None while it loads or when nothing was asked for."""
        with self._lock:
            loaded, self._loaded = self._loaded, None
            if loaded is not None:
                self._newest = None
            return loaded

    def _replace(self, newest: _Load | None) -> None:
        with self._lock:
            self._newest = newest
            unused, self._loaded = self._loaded, None
        if unused is not None and unused.detector is not None:
            detector = unused.detector
            # Closing can take longer than the caller, who has services to answer, may wait.
            model_threads.start(lambda: self._retire(detector))

    def _run(self, ticket: int, choice: BackendChoice) -> None:
        detector: Served | None = None
        error = ""
        try:
            detector = self._load(choice)
        except RobotAIError as refusal:
            error = str(refusal)
        except Exception as fault:  # a framework may raise anything; the model that serves goes on
            logging.getLogger(__name__).exception("loading failed unexpectedly")
            error = f"{type(fault).__name__}: {fault}"
        with self._lock:
            wanted = self._newest is not None and self._newest.ticket == ticket
            if wanted:
                self._loaded = Loaded(ticket, choice, detector, error)
        if not wanted and detector is not None:
            self._retire(detector)
