"""Signals to real processes while they import."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

# Native parts of what all our programs import, well before they begin to work.
EARLY = ("_multiarray_umath", "_rclpy_pybind11")
_PATIENCE = 60.0


def wait_for_imports(process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _PATIENCE
    maps = Path(f"/proc/{process.pid}/maps")
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended by itself"
        if any(name in maps.read_text() for name in EARLY):
            return
        time.sleep(0.005)
    raise AssertionError("it imported nothing")


def interrupt(command: list[str], how: signal.Signals) -> tuple[int, str]:
    """The exit code and the output of a process that got the signal during its imports."""
    environment = {**os.environ, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        try:
            wait_for_imports(process)
            process.send_signal(how)
            said, _ = process.communicate(timeout=_PATIENCE)
        finally:
            process.kill()
    return process.returncode, said
