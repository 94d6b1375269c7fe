"""A turning lidar's cloud as if it had been measured in one moment: each point is moved by the lidar's own motion.

The velocity is taken as constant during the turn: the lidar's pose at time t is the exponential of t times its twist
(Lynch and Park, Modern Robotics, 2017, section 3.3.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.errors import PointTimesError

Floats = NDArray[np.float32]

TIME_FIELDS = ("time", "t", "timestamp", "time_stamp", "offset_time")
"""Names that drivers give to the time of each point."""

# Points further from the stamp than this, in seconds, were not measured in the turn that the cloud is of.
_LONGEST_TURN = 1.5
_NANOSECONDS = 1e9
# From here on a number is a time since 1970, in seconds or in nanoseconds, and not one since the stamp.
_ABSOLUTE_SECONDS, _ABSOLUTE_NANOSECONDS = 1e8, 1e17


@dataclass(frozen=True)
class Twist:
    """Velocities in the moving frame itself: linear (3,) in m/s and angular (3,) in rad/s."""

    linear: NDArray[np.float64]
    angular: NDArray[np.float64]

    def seen_from(self, transform: RigidTransform) -> Twist:
        """The twist of a frame that is fixed to this one; `transform` takes points of this one into that."""
        origin = transform.inverse.translation
        linear = self.linear + np.cross(self.angular, origin)
        return Twist(transform.rotation @ linear, transform.rotation @ self.angular)


def point_times(view: NDArray[np.void], stamp: int) -> Floats | None:
    """(N,): seconds from the cloud's `stamp` (nanoseconds) to each point of a structured array; None without such a
    field.

    Whole numbers are nanoseconds (Ouster's t, Livox' offset_time), fractions are seconds (Velodyne's time); large ones
    are times since 1970 (Hesai's and RoboSense's timestamp). Raises PointTimesError when they are none of these.
    """
    names = view.dtype.names or ()
    name = next((field for field in TIME_FIELDS if field in names), None)
    if name is None:
        return None
    kind = view.dtype[name]
    if kind.shape:
        raise PointTimesError(f"field '{name}' holds {kind.shape} numbers per point; expected one")
    values: NDArray[Any] = view.reshape(-1)[name]
    if not values.size:
        return np.empty(0, np.float32)
    # A cloud of which some points did not return has no time for these.
    times = np.where(np.isfinite(values), values, 0).astype(np.float64)
    largest = float(np.abs(times).max())
    if largest > _ABSOLUTE_NANOSECONDS:
        times -= float(stamp)
        times /= _NANOSECONDS
    elif largest > _ABSOLUTE_SECONDS and kind.kind == "f":
        times -= stamp / _NANOSECONDS
    elif kind.kind in "iu":
        times /= _NANOSECONDS
    # Points that did not return may have a time of 0, whatever the others count from.
    times[~np.isfinite(values) | (values == 0)] = 0.0
    furthest = float(np.abs(times).max())
    if furthest > _LONGEST_TURN:
        raise PointTimesError(
            f"field '{name}' says that a point was measured {furthest:.3g} s from the cloud's stamp; expected at most "
            f"{_LONGEST_TURN} s"
        )
    return times.astype(np.float32)


def deskew(points: Floats, times: Floats, twist: Twist) -> Floats:
    """Points (N, 3) that were measured `times` (N,) seconds after the stamp, where the lidar would have seen them at
    the stamp.
    """
    linear, angular = twist.linear.astype(np.float32), twist.angular.astype(np.float32)
    rate = float(np.linalg.norm(angular))
    t = times[:, None]
    if rate < 1e-6:
        moved: Floats = points + t * linear
        return moved
    axis = angular / np.float32(rate)
    sin, versed = np.sin(t * np.float32(rate)), 1 - np.cos(t * np.float32(rate))
    turned = points + sin * np.cross(axis, points) + versed * np.cross(axis, np.cross(axis, points))
    across = np.cross(axis, linear)
    way = t * linear + versed / np.float32(rate) * across
    way += (t - sin / np.float32(rate)) * np.cross(axis, across)
    result: Floats = (turned + way).astype(np.float32)
    return result
