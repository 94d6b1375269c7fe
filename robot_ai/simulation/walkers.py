"""Models that walk from waypoint to waypoint, as gz::sim::systems::TrajectoryFollower sends them.

Gazebo pushes its followers with a force; here they walk at a set speed and turn on the spot, whatever is in their way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.builder import WALKER_PLUGINS
from robot_ai.simulation.errors import SdfElementError, SdfValueError
from robot_ai.simulation.placing import PlacedModel
from robot_ai.simulation.sdf_element import SdfElement

_CIRCLE_POINTS = 36
_TURN_RATE = 2.0
_REACHED = 1e-6


@dataclass(frozen=True)
class Route:
    """Where a model walks: waypoints x, y in the world, and whether it begins again after the last."""

    waypoints: tuple[tuple[float, float], ...]
    loop: bool


def route_of(model: PlacedModel) -> Route | None:
    """The route of a model's TrajectoryFollower, if it has one. Raises a WorldError."""
    plugin = next((plugin for plugin in model.plugins if plugin.name in WALKER_PLUGINS), None)
    if plugin is None:
        return None
    element = plugin.element
    x, y = model.pose.translation[:2].tolist()
    heading = math.atan2(model.pose.rotation[1, 0], model.pose.rotation[0, 0])
    listed, line, circle = (element.child(tag) for tag in ("waypoints", "line", "circle"))
    if listed is not None:
        points = [waypoint.vector(2, 3) for waypoint in listed.children("waypoint")]
        waypoints = tuple((point[0], point[1]) for point in points)
    elif line is not None:
        way = heading + line.number("direction", 0.0)
        length = line.number("length")
        waypoints = ((x, y), (x + length * math.cos(way), y + length * math.sin(way)))
    elif circle is not None:
        waypoints = _circle(circle, x, y, heading)
    else:
        raise SdfElementError(f"{element.where} has none of <waypoints>, <line> and <circle>")
    if not waypoints or not all(math.isfinite(value) for point in waypoints for value in point):
        raise SdfValueError(f"{element.where} has no waypoints, or some that are not finite")
    return Route(waypoints, element.flag("loop", False))


def _circle(circle: SdfElement, x: float, y: float, heading: float) -> tuple[tuple[float, float], ...]:
    """Around a middle to the model's left."""
    radius = circle.number("radius")
    middle = (x - radius * math.sin(heading), y + radius * math.cos(heading))
    angles = [heading - math.pi / 2 + 2 * math.pi * step / _CIRCLE_POINTS for step in range(_CIRCLE_POINTS)]
    return tuple((middle[0] + radius * math.cos(a), middle[1] + radius * math.sin(a)) for a in angles)


class Walker:
    """One walking model. height: z of its frame in the world, which stays; `pose` is where it is now."""

    def __init__(self, start: RigidTransform, route: Route, speed: float) -> None:
        self._route = route
        self._speed = speed
        self._next = 0
        self._x, self._y, self._z = start.translation.tolist()
        self._yaw = math.atan2(start.rotation[1, 0], start.rotation[0, 0])
        self.velocity = (0.0, 0.0)

    @property
    def pose(self) -> RigidTransform:
        """The model's frame in the world."""
        cos, sin = math.cos(self._yaw), math.sin(self._yaw)
        turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return RigidTransform(turn, np.array([self._x, self._y, self._z]))

    def step(self, seconds: float) -> None:
        """Turns towards the next waypoint, then walks to it, `seconds` long."""
        self.velocity = (0.0, 0.0)
        points, passed = self._route.waypoints, 0
        while seconds > _REACHED and self._next < len(points) and passed <= len(points):
            dx, dy = points[self._next][0] - self._x, points[self._next][1] - self._y
            distance = math.hypot(dx, dy)
            if distance < _REACHED:
                self._next += 1
                passed += 1
                if self._route.loop and self._next == len(points):
                    self._next = 0
                continue
            bearing = math.remainder(math.atan2(dy, dx) - self._yaw, 2 * math.pi)
            turned = math.copysign(min(abs(bearing), _TURN_RATE * seconds), bearing)
            self._yaw += turned
            seconds -= abs(turned) / _TURN_RATE
            way = min(distance, self._speed * seconds)
            if way > 0:
                self._x += dx / distance * way
                self._y += dy / distance * way
                seconds -= way / self._speed
                self.velocity = (dx / distance * self._speed, dy / distance * self._speed)
