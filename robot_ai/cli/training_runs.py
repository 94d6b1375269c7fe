"""What the trainings of `robot_ai train` have in common: lines with the time, and logs for TensorBoard."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from robot_ai.errors import RobotAIError

INTERRUPTED = 130
"""The exit code of a training that a signal ended, as a shell reports Ctrl-C."""


class MissingFrameworkError(RobotAIError):
    """Training needs what is not installed."""


def say(text: str) -> None:
    """Prints a line that begins with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def open_logs(folder: Path) -> tuple[Callable[[str, float, int], None], Callable[[], None]]:
    """A function that logs for TensorBoard, and one that ends this; both do nothing where TensorBoard is missing."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorBoard imports TensorFlow where it is installed
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        say("no TensorBoard logs: pip install tensorboard")
        return (lambda name, value, step: None), (lambda: None)
    writer: Any = SummaryWriter(str(folder), flush_secs=20)
    return writer.add_scalar, writer.close
