"""What the trainings of `robot_ai train` have in common: lines with the time, and logs for TensorBoard."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from robot_ai.errors import RobotAIError


class MissingFrameworkError(RobotAIError):
    """Training needs what is not installed."""


def say(text: str) -> None:
    """Prints a line that begins with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


@contextmanager
def stopping_on_signals() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether Ctrl-C or SIGTERM came; neither ends the process meanwhile."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_logs(folder: Path) -> tuple[Callable[[str, float, int], None], Callable[[], None]]:
    """A function that logs for TensorBoard, and one that ends this; both do nothing where TensorBoard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say("no TensorBoard logs: pip install tensorboard")
        return (lambda name, value, step: None), (lambda: None)
    writer: Any = SummaryWriter(str(folder), flush_secs=20)
    return writer.add_scalar, writer.close
