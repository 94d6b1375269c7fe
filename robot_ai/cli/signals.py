"""Ctrl-C and SIGTERM where neither may end the process at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt meanwhile, as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def stopping_on_signals() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether Ctrl-C or SIGTERM came; neither ends the process meanwhile."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in _ENDING}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_once() -> None:
    """From now on the first Ctrl-C or SIGTERM raises KeyboardInterrupt, and later ones do nothing."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        pass_over_signals()
        raise KeyboardInterrupt

    for ending in _ENDING:
        signal.signal(ending, interrupt)


def pass_over_signals() -> None:
    """From now on Ctrl-C and SIGTERM do nothing: they would tear what the process ends with."""
    for number in _ENDING:
        signal.signal(number, lambda *_: None)
