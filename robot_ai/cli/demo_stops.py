"""The demo's stops: when the watchdog and the microcontroller stopped the robot, and whom it stood before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import Detections3D

# The outline of worlds/models/robot around base_link: rear, front, half width, in meters.
REAR, FRONT, HALF_WIDTH = -0.26, 0.20, 0.20
# The robot stands when it is slower than this, in meters per second.
STANDING = 0.02
# Who is further away than this, in meters, is not whom it stops before.
_BEFORE = 2.0


def outline_gap(corners: NDArray[np.floating]) -> float:
    """From the robot's outline to a box of corners (4, 2) in its frame, in meters, to a centimeter."""
    steps = np.linspace(0, 1, 60)[:, None]
    sides = np.concatenate([a + steps * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)])
    beyond = np.maximum(np.maximum((REAR, -HALF_WIDTH) - sides, sides - (FRONT, HALF_WIDTH)), 0)
    return float(np.linalg.norm(beyond, axis=1).min())


@dataclass
class Stop:
    """One stop. at: seconds of the drive. person: a name of the world's, empty for nobody; gap: from the robot's
    outline to his box then, in meters. reason: the bridge's. turned: whether it was let turn away (TURN_ONLY). lasted:
    seconds until it drove on; NaN for a stop that was not over."""

    at: float
    person: str = ""
    gap: float = math.nan
    reason: str = ""
    turned: bool = False
    lasted: float = math.nan

    @property
    def before(self) -> str:
        """Whom it stands before, or else why it stands."""
        if self.is_before_a_person:
            return f"before {self.person}, {self.gap:.2f} m away"
        return f"for {self.reason or 'no known reason'}"

    @property
    def is_before_a_person(self) -> bool:
        """Whether somebody was the reason, as far as the bridge has told one."""
        return bool(self.person) and (not self.reason or self.reason.startswith("obstacle"))

    @property
    def text(self) -> str:
        """The stop in a line."""
        after = "still stands" if math.isnan(self.lasted) else f"drove on after {self.lasted:.1f} s"
        return f"at {self.at:5.1f} s {self.before}{', turned away' if self.turned else ''}, {after}"


class StopLog:
    """Puts stops together from what is heard; `now` is seconds of the drive.

    stopped: what `mcu/stop` said last, None before. nearest: the least gap to a person while the robot moved.
    """

    def __init__(self) -> None:
        self.stops: list[Stop] = []
        self.stopped: bool | None = None
        self.nearest = math.inf
        self._ahead = "", math.nan
        self._speed = 0.0

    @property
    def latest(self) -> Stop | None:
        """The stop that the robot is in, or has not driven on from."""
        return self.stops[-1] if self.stops and math.isnan(self.stops[-1].lasted) else None

    def begin(self) -> None:
        """The drive begins: of what was before, only a stop that the robot is in counts, from now on."""
        self.stops = [self.latest] if self.latest is not None else []
        for stop in self.stops:
            stop.at = 0.0
        self.nearest = math.inf

    def saw_people(self, names: Sequence[str], boxes: Detections3D) -> None:
        """The truth: names of things and their boxes in the robot's frame."""
        self._ahead = "", math.nan
        nearest = _BEFORE
        for name, label, center, corners in zip(names, boxes.names, boxes.centers, boxes.corners(), strict=True):
            if label != "person":
                continue
            gap = outline_gap(corners[:4, :2])
            if abs(self._speed) > STANDING:
                self.nearest = min(self.nearest, gap)
            if center[0] > 0 and gap < nearest:
                nearest, self._ahead = gap, (name, gap)

    def said_stop(self, now: float, stop: bool) -> None:
        """`mcu/stop` came. The robot's first stop, before it knows anything, is none."""
        # One that comes while the robot turns away is the same stop still.
        if stop and self.stopped is False and self.latest is None:
            self.stops.append(Stop(now, *self._ahead))
        self.stopped = stop

    def said_state(self, state: str, message: str) -> None:
        """The bridge's safety status: its state, and what it says."""
        if self.latest is None:
            return
        self.latest.turned |= state == "TURN_ONLY"
        if state in ("STOP", "TURN_ONLY") and not self.latest.reason and "resuming" not in message:
            self.latest.reason = message.partition(": ")[2]

    def moved(self, now: float, speed: float) -> None:
        """The robot's speed by its odometry, in meters per second."""
        self._speed = speed
        if self.latest is not None and not self.stopped and speed > STANDING:
            self.latest.lasted = now - self.latest.at

    def as_plain(self) -> list[dict[str, Any]]:
        """All stops for JSON."""
        return [{key: _plain(value) for key, value in vars(stop).items()} for stop in self.stops]


def _plain(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else round(value, 2)
