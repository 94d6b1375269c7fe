"""Loading the next model beside the one that serves."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
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


class Swapper(Generic[Served]):
    """Loads models beside the frames; only the newest request counts, an older one's model is retired: closed again.

    Nothing here waits: whoever asks comes back for the result. A load that hangs holds up no later one. Thread-safe.
    """

    def __init__(self, load: Callable[[BackendChoice], Served], retire: Callable[[Served], object] = close) -> None:
        self._load = load
        self._retire = retire
        self._lock = threading.Lock()
        self._tickets = itertools.count(1)
        self._newest: tuple[int, BackendChoice] | None = None
        self._loaded: Loaded[Served] | None = None

    @property
    def loading(self) -> BackendChoice | None:
        """What is being loaded, or waits to be taken."""
        newest = self._newest
        return newest[1] if newest else None

    def start(self, choice: BackendChoice) -> int:
        """Begins to load and returns a ticket; whatever was asked for before is superseded."""
        ticket = next(self._tickets)
        self._replace((ticket, choice))
        model_threads.start(lambda: self._run(ticket, choice))
        return ticket

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

    def _replace(self, newest: tuple[int, BackendChoice] | None) -> None:
        with self._lock:
            self._newest = newest
            unused, self._loaded = self._loaded, None
        if unused is not None and unused.detector is not None:
            self._retire(unused.detector)

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
            wanted = self._newest is not None and self._newest[0] == ticket
            if wanted:
                self._loaded = Loaded(ticket, choice, detector, error)
        if not wanted and detector is not None:
            self._retire(detector)
