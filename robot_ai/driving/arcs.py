"""Free arcs in front of a robot with differential drive.

The curvature-velocity method (Simmons, The curvature-velocity method for local obstacle avoidance, ICRA 1996): a robot
moves on arcs of constant curvature; for each arc it is known how far it is free, and so how fast it may be driven that
the robot still stops in time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from robot_ai.driving.errors import DriveSettingsError

Floats = NDArray[np.float64]

# The arcs looked at: their curvatures in 1/m, straight on in the middle.
_CURVATURES = np.concatenate([-np.geomspace(2.5, 0.15, 8), [0.0], np.geomspace(0.15, 2.5, 8)])
# How far along an arc is looked, and in which steps, in meters.
REACH = 3.0
_STEP = 0.1
_BEARINGS = np.linspace(-math.pi, math.pi, 36, endpoint=False)
# Where an arc leads to is judged by the point so far along it, in meters.
_LOOK_AHEAD = 1.0
# What a radian off the goal costs, against the share of the speed that is lost on the straight way.
_DETOUR = 0.6
# A change of direction must be worth this, so that the robot does not sway between two arcs that are as good.
_STAY = 0.1


@dataclass(frozen=True)
class Vehicle:
    """A round robot that drives forward and turns, and what it can do, in meters, seconds and radians.

    radius: of the circle around its base that it needs. speed, turn: the most it drives and turns. acceleration: the
    most it gains per second. deceleration: how well it certainly brakes. reaction: the time from a sensor's look until
    brakes bite. stop_distance: from its circle to anything ahead, kept free while it drives.
    """

    radius: float = 0.3
    speed: float = 0.5
    turn: float = 1.2
    acceleration: float = 0.6
    deceleration: float = 1.0
    reaction: float = 0.3
    stop_distance: float = 0.55

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise DriveSettingsError(f"{name} is {value}; expected a finite number above 0")

    def allowed_speed(self, free: Floats) -> Floats:
        """The fastest (N,) from which the robot stops within `free` (N,) meters, `stop_distance` before their end."""
        room = np.maximum(free - self.stop_distance, 0)
        late = self.reaction * self.deceleration
        return np.minimum(np.sqrt(late**2 + 2 * self.deceleration * room) - late, self.speed)


@dataclass(frozen=True)
class Motion:
    """Forward speed in meters per second and turn in radians per second, positive to the left."""

    speed: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True)
class Obstacles:
    """Points (N, 2) in meters, in the robot's frame (x ahead, y left), and how far (N,) its circle keeps from each."""

    points: Floats
    margins: Floats

    @classmethod
    def none(cls) -> Obstacles:
        """An empty plain."""
        return cls(np.empty((0, 2)), np.empty(0))

    def __add__(self, other: Obstacles) -> Obstacles:
        return Obstacles(np.concatenate([self.points, other.points]), np.concatenate([self.margins, other.margins]))


def free_lengths(obstacles: Obstacles, radius: float, curvatures: Floats = _CURVATURES) -> Floats:
    """(K,): how far, in meters, the robot's circle moves along each arc before it comes nearer to a point than that
    point's margin; at most REACH. What is already nearer counts only while the arc leads closer to it.
    """
    along = np.arange(0.0, REACH + _STEP / 2, _STEP, dtype=np.float64)
    ranges = np.linalg.norm(obstacles.points, axis=1) - obstacles.margins - radius
    points, margins = obstacles.points[ranges < REACH], obstacles.margins[ranges < REACH]
    if not len(points):
        return np.full(len(curvatures), REACH)
    middles = _positions(curvatures[:, None], along[None, :]).reshape(-1, 2)
    gaps = (cdist(middles, points) - radius).reshape(len(curvatures), len(along), -1)
    blocked = (gaps < np.minimum(margins, gaps[:, :1] - 1e-9)).any(axis=2)
    # Between the last free place that was looked at and the first blocked one: the last free one is certain.
    first = np.maximum(np.argmax(blocked, axis=1) - 1, 0)
    return np.where(blocked.any(axis=1), along[first], REACH)


def openest_bearing(obstacles: Obstacles, radius: float) -> float:
    """The bearing, in radians, along which the robot's circle gets furthest straight on; of those as free, the one
    least off what lies ahead.
    """
    cos, sin = np.cos(_BEARINGS)[:, None], np.sin(_BEARINGS)[:, None]
    x, y = obstacles.points.T
    along, across = cos * x + sin * y, cos * y - sin * x
    width = radius + obstacles.margins
    met = (np.abs(across) < width) & (along > 0)
    free = np.where(met, along - np.sqrt(np.maximum(width**2 - across**2, 0)), REACH)
    furthest = np.minimum(free.min(axis=1, initial=REACH), REACH)
    return float(_BEARINGS[np.argmax(furthest - 0.1 * np.abs(_BEARINGS))])


def steer(vehicle: Vehicle, obstacles: Obstacles, goal: float, most: float, last: Motion) -> Motion:
    """The motion whose arc leads best towards `goal`, a bearing in radians, at no more than `most` meters per second.

    Turns in place where no arc is free or the goal lies behind. `last` is the motion of the step before.
    """
    if abs(goal) > math.pi / 2:
        return _turn_in_place(vehicle, goal)
    speeds = np.minimum(vehicle.allowed_speed(free_lengths(obstacles, vehicle.radius)), min(most, vehicle.speed))
    speeds = np.minimum(speeds, vehicle.turn / np.maximum(np.abs(_CURVATURES), 1e-9))
    ends = _positions(_CURVATURES, np.full(len(_CURVATURES), _LOOK_AHEAD))
    off = np.abs(np.arctan2(ends[:, 1], ends[:, 0]) - goal)
    worth = speeds / max(most, 1e-9) - _DETOUR * off
    if last.speed > 0:
        worth[np.argmin(np.abs(_CURVATURES - last.turn / last.speed))] += _STAY
    best = int(np.argmax(np.where(speeds > 0.02, worth, -np.inf)))
    if not speeds[best] > 0.02:
        return _turn_in_place(vehicle, goal)
    return Motion(float(speeds[best]), float(speeds[best] * _CURVATURES[best]))


def _turn_in_place(vehicle: Vehicle, goal: float) -> Motion:
    return Motion(0.0, float(np.clip(1.5 * goal, -vehicle.turn, vehicle.turn)))


def _positions(curvatures: Floats, along: Floats) -> Floats:
    """(…, 2): where a robot at the origin is after `along` meters on an arc; both broadcast."""
    curvatures, along = np.broadcast_arrays(curvatures, along)
    angles = curvatures * along
    straight = np.abs(curvatures) < 1e-9
    divisor = np.where(straight, 1.0, curvatures)
    x = np.where(straight, along, np.sin(angles) / divisor)
    y = np.where(straight, 0.0, (1 - np.cos(angles)) / divisor)
    return np.stack([x, y], axis=-1)
