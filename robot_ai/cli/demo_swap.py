"""The demo's swap of backends while the robot drives, and what it cost."""

from __future__ import annotations

import math
import time
from typing import Any

from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rclpy.task import Future

from robot_ai.bringup.table import CAMERA
from robot_ai.cli.demo_watch import DemoWatch

# After a swap a frame may be as late as this, in seconds.
SETTLE = 1.0
# Frames from so many seconds before the request on are the swap's.
_BEFORE = 0.5


class DemoSwap:
    """Asks camera_detector for another backend, once, as `ros2 param set` does."""

    def __init__(self, watch: DemoWatch, backend: str) -> None:
        self._watch = watch
        self._before, self._target = backend, ""
        self._client = watch.create_client(SetParameters, f"{CAMERA.executable.name}/set_parameters")
        self._answer: Future | None = None
        self._began = self._ended = math.nan
        self._at = math.nan
        self._refusal = ""

    @property
    def asked(self) -> bool:
        """Whether it was asked for."""
        return self._answer is not None

    @property
    def under_way(self) -> bool:
        """Whether a swap was asked for that is not over, with what comes after it."""
        over = not math.isnan(self._ended) and time.monotonic() > self._ended + 2 * SETTLE
        return self.asked and not over

    def ask(self, backend: str) -> None:
        """Asks for a backend."""
        request = SetParameters.Request(parameters=[Parameter("backend", value=backend).to_parameter_msg()])
        self._began, self._at, self._target = time.monotonic(), self._watch.seconds(), backend
        self._answer = self._client.call_async(request)

    def look(self) -> None:
        """Notices the answer; to be called often."""
        if self._answer is not None and self._answer.done() and math.isnan(self._ended):
            self._ended = time.monotonic()
            (result,) = self._answer.result().results
            self._refusal = "" if result.successful else result.reason

    def describe(self) -> dict[str, Any]:
        """What became of it, in words (`text`) and numbers; empty when none was asked for."""
        if not self.asked:
            return {}
        way = f"{self._before} → {self._target}"
        if math.isnan(self._ended):
            return {"text": f"swap {way}: not answered", "lost": None}
        if self._refusal:
            return {"text": f"swap {way}: refused: {self._refusal}", "lost": None}
        lost = self._watch.counts.lost(self._began - _BEFORE, self._ended + SETTLE)
        took = self._ended - self._began
        return {
            "text": f"swap {way} while driving: {len(lost)} images without an answer; ready after {took:.1f} s",
            "lost": len(lost),
            "at (s)": round(self._at, 2),
            "seconds": round(took, 2),
        }
