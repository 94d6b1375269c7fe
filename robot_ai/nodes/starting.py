"""How a node's process starts: a Ctrl-C while it imports, which takes seconds, ends it as quietly as a later one.

Python itself answers with a traceback and dies of the signal, which `ros2 launch` reports as a node that has died.
Imports only what takes no time: what is imported before `end_at_once` is called is not covered.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from importlib import import_module
from types import FrameType


def end_at_once() -> None:
    """From here on SIGINT and SIGTERM end the process with exit code 0, until someone installs handlers of his own."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)


def _end(_number: int, _frame: FrameType | None) -> None:
    # Nothing is open yet, and an exception could be swallowed by whatever is being imported.
    os._exit(0)


def _script(node: str) -> Callable[[], int]:
    def run() -> int:
        end_at_once()
        return int(import_module(f"robot_ai.nodes.{node}").main())

    return run


# The console scripts of setup.py.
camera_detector = _script("camera_detector")
detection_fusion = _script("detection_fusion")
follow_and_avoid = _script("follow_and_avoid")
image_source = _script("image_source")
lidar_detector = _script("lidar_detector")
micro_ros_bridge = _script("micro_ros_bridge")
simulator = _script("simulator")
