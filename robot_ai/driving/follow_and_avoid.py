"""Follow people, keep away from everything: the behavior behind the node follow_and_avoid. Driven by the caller's
clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from robot_ai.driving.arcs import Motion, Obstacles, Vehicle, openest_bearing, steer
from robot_ai.driving.errors import DriveSettingsError

Floats = NDArray[np.float64]

# Of a scan so many points are enough, the nearest of each direction.
_DIRECTIONS = 120
# What is told to drive at least so fast and is slower than this, in meters per second, is held.
_TOLD, _HELD = 0.05, 0.02
# A robot that is held turns so far, in radians, before it tries again; and the same way round as the last time when
# that was less than so many seconds ago.
_TURN_AWAY = math.pi / 3
_SAME_WAY = 10.0
# A person is taken for the one of the last look when it is not further from there, in meters.
_SAME_PERSON = 1.0


class Mode(str, Enum):
    """What the robot is about."""

    BLIND = "blind"
    """No scan, or an old one: it stands."""
    SEARCHING = "searching"
    FOLLOWING = "following"
    ARRIVED = "arrived"
    """Near a person, turning to it."""
    HELD = "held"
    """Told to drive it does not: something else, such as a watchdog, holds it. It turns to another way."""


@dataclass(frozen=True)
class FollowSettings:
    """How to follow. Distances in meters, between the robot's circle and a person's box; times in seconds.

    follow_distance: where it stops before a person. person_margin: kept beside every person. side_margin: kept beside
    everything else. scan_timeout: the age at which a scan is worth nothing. memory: how long a person who is no longer
    seen is still followed. visit: how long it stays with a person, 0 for ever; wander: how long it then looks for
    another way.

    Raises DriveSettingsError.
    """

    vehicle: Vehicle = field(default_factory=Vehicle)
    follow_distance: float = 1.0
    person_margin: float = 0.3
    side_margin: float = 0.15
    scan_timeout: float = 0.5
    memory: float = 1.0
    visit: float = 4.0
    wander: float = 8.0
    held: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "vehicle" and not (math.isfinite(value) and value >= 0):
                raise DriveSettingsError(f"{name} is {value}; expected a finite number, 0 or more")
        if self.follow_distance < self.vehicle.stop_distance:
            raise DriveSettingsError(
                f"follow_distance is {self.follow_distance} m, less than stop_distance "
                f"({self.vehicle.stop_distance} m); expected it to be at least as far"
            )


@dataclass(frozen=True)
class People:
    """N persons in the robot's frame: middles (N, 2) and radii (N,) of the circles around them, in meters."""

    centers: Floats
    radii: Floats

    @classmethod
    def nobody(cls) -> People:
        """No one in sight."""
        return cls(np.empty((0, 2)), np.empty(0))


class FollowAndAvoid:
    """Takes looks of the sensors, gives motions. `now` is a monotonic time in seconds. Not thread-safe."""

    def __init__(self, settings: FollowSettings) -> None:
        self.settings = settings
        self.mode = Mode.BLIND
        self._obstacles = Obstacles.none()
        self._scanned: float | None = None
        self._people = People.nobody()
        self._seen = -math.inf
        self._target: Floats | None = None
        self._target_seen = -math.inf
        self._arrived: float | None = None
        self._wander_until = -math.inf
        self._motion = Motion()
        self._stepped: float | None = None
        self._side = 1.0
        self._moved: float | None = None
        self._told_since: float | None = None
        self._turn_away = 0.0
        self._turned_away = -math.inf
        # Whether what it turns away from is whom it followed or was to leave.
        self._leaving = False

    def saw_obstacles(self, now: float, points: Floats) -> None:
        """A scan: points (N, 2) in the robot's frame."""
        nearest = _nearest_per_direction(np.asarray(points, float).reshape(-1, 2))
        self._obstacles = Obstacles(nearest, np.full(len(nearest), self.settings.side_margin))
        self._scanned = now

    def saw_people(self, now: float, people: People) -> None:
        """Persons; none is an answer, too."""
        self._people, self._seen = people, now

    def saw_motion(self, now: float, motion: Motion) -> None:
        """How the robot really moves, by its odometry."""
        passed = 0.0 if self._moved is None else min(max(now - self._moved, 0.0), 1.0)
        self._moved = now
        if self._turn_away:
            self._turned_away = now
            self._turn_away = max(self._turn_away - max(motion.turn * self._side, 0.0) * passed, 0.0)
            if self._leaving:
                # Nearer it is not let: this was the visit.
                self._wander_until = now + self.settings.wander
        elif motion.speed >= _HELD or self._motion.speed < _TOLD:
            self._told_since = None
        elif self._told_since is None:
            self._told_since = now
        elif self.settings.held and now - self._told_since >= self.settings.held:
            self._told_since = None
            if now - self._turned_away > _SAME_WAY:
                self._side = self._away()
            self._turn_away = _TURN_AWAY
            self._leaving = self.settings.visit > 0 and (self.mode is Mode.FOLLOWING or now < self._wander_until)

    def step(self, now: float) -> Motion:
        """The motion from now on."""
        passed = 0.0 if self._stepped is None else max(now - self._stepped, 0.0)
        self._stepped = now
        if self._target is not None:
            self._target = _carried(self._target, self._motion, passed)
        if self._scanned is None or now - self._scanned > self.settings.scan_timeout:
            self.mode = Mode.BLIND
            self._motion = Motion()
            return self._motion
        self._choose_target(now)
        if self._turn_away:
            self.mode = Mode.HELD
            self._arrived = None
            self._motion = self._turn_in_place()
            return self._motion
        wanted = self._search(now) if self._target is None else self._follow(now, self._target)
        # It brakes as hard as asked and gains speed gently.
        fastest = self._motion.speed + self.settings.vehicle.acceleration * passed
        share = min(1.0, fastest / wanted.speed) if wanted.speed > 0 else 1.0
        self._motion = Motion(wanted.speed * share, wanted.turn * share)
        return self._motion

    def _choose_target(self, now: float) -> None:
        centers = self._people.centers
        if now < self._wander_until:
            self._target = None
            return
        if len(centers) and now - self._seen <= self.settings.memory:
            ranges = np.linalg.norm(centers, axis=1)
            if self._target is not None:
                jumps = np.linalg.norm(centers - self._target, axis=1)
                ranges = np.where(jumps < _SAME_PERSON, ranges - 100, ranges)
            self._target = centers[int(np.argmin(ranges))]
            self._target_seen = self._seen
        elif now - self._target_seen > self.settings.memory:
            self._target = None

    def _follow(self, now: float, target: Floats) -> Motion:
        settings, vehicle = self.settings, self.settings.vehicle
        bearing = math.atan2(target[1], target[0])
        left = float(np.linalg.norm(target)) - self._target_radius(target) - vehicle.radius - settings.follow_distance
        if left <= 0:
            self.mode = Mode.ARRIVED
            self._arrived = now if self._arrived is None else self._arrived
            if settings.visit and now - self._arrived >= settings.visit:
                self._arrived, self._target = None, None
                self._wander_until = now + settings.wander
            return Motion(0.0, float(np.clip(1.5 * bearing, -vehicle.turn, vehicle.turn)))
        self.mode = Mode.FOLLOWING
        self._arrived = None
        # Slower on the last stretch, so that it does not run up to people.
        return steer(vehicle, self._around(), bearing, max(0.1, 0.8 * left), self._motion)

    def _search(self, now: float) -> Motion:
        self.mode = Mode.SEARCHING
        self._arrived = None
        obstacles, vehicle = self._around(), self.settings.vehicle
        motion = steer(vehicle, obstacles, 0.0, 0.7 * vehicle.speed, self._motion)
        if motion.speed > 0:
            return motion
        # Nothing ahead is free: turn, always the same way round, until something is.
        if self._motion.turn == 0 or self._motion.speed > 0:
            self._side = math.copysign(1.0, openest_bearing(obstacles, vehicle.radius))
        return self._turn_in_place()

    def _turn_in_place(self) -> Motion:
        return Motion(0.0, self._side * 0.6 * self.settings.vehicle.turn)

    def _away(self) -> float:
        """1 to turn left, -1 to turn right: away from what is nearest ahead."""
        points = self._around().points
        ahead = points[points[:, 0] > 0]
        if not len(ahead):
            return self._side
        return -math.copysign(1.0, ahead[np.argmin(np.linalg.norm(ahead, axis=1)), 1])

    def _around(self) -> Obstacles:
        people, margin = self._people, self.settings.person_margin
        return self._obstacles + Obstacles(people.centers, people.radii + margin)

    def _target_radius(self, target: Floats) -> float:
        if not len(self._people.centers):
            return 0.0
        gaps = np.linalg.norm(self._people.centers - target, axis=1)
        nearest = int(np.argmin(gaps))
        return float(self._people.radii[nearest]) if gaps[nearest] < _SAME_PERSON else 0.0


def _carried(point: Floats, motion: Motion, seconds: float) -> Floats:
    """Where a point of the world is in the robot's frame after the robot has moved."""
    turned = motion.turn * seconds
    moved = point - np.array([motion.speed * seconds, 0.0])
    cos, sin = math.cos(turned), math.sin(turned)
    return np.array([cos * moved[0] + sin * moved[1], cos * moved[1] - sin * moved[0]])


def _nearest_per_direction(points: Floats) -> Floats:
    points = points[np.isfinite(points).all(axis=1)]
    ranges = np.linalg.norm(points, axis=1)
    sector = ((np.arctan2(points[:, 1], points[:, 0]) + math.pi) / (2 * math.pi) * _DIRECTIONS).astype(int)
    order = np.lexsort((ranges, sector))
    _, first = np.unique(sector[order], return_index=True)
    nearest: Floats = points[order[first]]
    return nearest
