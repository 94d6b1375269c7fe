"""Two driven wheels: commands within limits, and odometry from what the wheels really turned.

The parameters are those of gz::sim::systems::DiffDrive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from robot_ai.simulation.errors import SdfElementError, SdfValueError
from robot_ai.simulation.placing import PlacedModel
from robot_ai.simulation.sdf_element import SdfElement

PLUGINS = ("gz::sim::systems::DiffDrive", "ignition::gazebo::systems::DiffDrive")


@dataclass(frozen=True)
class Limits:
    """Least and most of a velocity and of its change, per second."""

    low: float = -math.inf
    high: float = math.inf
    low_change: float = -math.inf
    high_change: float = math.inf

    def step(self, wanted: float, current: float, seconds: float) -> float:
        """The velocity that may be commanded `seconds` after `current`."""
        wanted = min(max(wanted, self.low), self.high)
        return min(max(wanted, current + self.low_change * seconds), current + self.high_change * seconds)


@dataclass(frozen=True)
class DriveSettings:
    """What a DiffDrive plugin says; joints by name, lengths in meters, rate in Hz."""

    model: str
    left_joints: tuple[str, ...]
    right_joints: tuple[str, ...]
    wheel_separation: float
    wheel_radius: float
    odometry_rate: float
    frame: str
    child_frame: str
    linear: Limits
    angular: Limits


@dataclass(frozen=True)
class Odometry:
    """Pose in the odometry frame, in meters and radians, and velocities in the robot's own, per second."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    linear: float = 0.0
    angular: float = 0.0


class DiffDrive:
    """The drive of one robot. Call `command` when a command comes, `step` between pieces of physics."""

    def __init__(self, settings: DriveSettings) -> None:
        self.settings = settings
        self._wanted = (0.0, 0.0)
        self._current = (0.0, 0.0)
        self._turned: tuple[float, float] | None = None
        self.odometry = Odometry()

    def command(self, linear: float, angular: float) -> None:
        """What is wanted, in m/s and rad/s."""
        self._wanted = (linear, angular)

    def step(self, seconds: float) -> tuple[float, float]:
        """The velocities of the left and the right wheels, in rad/s, for the next piece of physics."""
        settings = self.settings
        linear = settings.linear.step(self._wanted[0], self._current[0], seconds)
        angular = settings.angular.step(self._wanted[1], self._current[1], seconds)
        self._current = (linear, angular)
        side = angular * settings.wheel_separation / 2
        return (linear - side) / settings.wheel_radius, (linear + side) / settings.wheel_radius

    def measure(self, left: float, right: float, seconds: float) -> Odometry:
        """Takes the angles of the wheels, in radians, `seconds` after the last ones: exact for motion on an arc."""
        settings = self.settings
        if self._turned is None:
            self._turned = (left, right)
            return self.odometry
        left_way = (left - self._turned[0]) * settings.wheel_radius
        right_way = (right - self._turned[1]) * settings.wheel_radius
        self._turned = (left, right)
        way, turn = (left_way + right_way) / 2, (right_way - left_way) / settings.wheel_separation
        before = self.odometry
        # The chord of the arc, in the direction of its middle.
        chord = way * (1.0 if abs(turn) < 1e-9 else math.sin(turn / 2) / (turn / 2))
        heading = before.yaw + turn / 2
        self.odometry = Odometry(
            before.x + chord * math.cos(heading),
            before.y + chord * math.sin(heading),
            math.remainder(before.yaw + turn, 2 * math.pi),
            way / seconds,
            turn / seconds,
        )
        return self.odometry


def drive_settings(model: PlacedModel) -> DriveSettings | None:
    """The settings of a model's DiffDrive plugin, if it has one. Raises a WorldError."""
    plugin = next((plugin for plugin in model.plugins if plugin.name in PLUGINS), None)
    if plugin is None:
        return None
    element = plugin.element
    radius, separation = element.number("wheel_radius", 0.2), element.number("wheel_separation", 1.0)
    rate = element.number("odom_publish_frequency", 50.0)
    for tag, value in (("wheel_radius", radius), ("wheel_separation", separation), ("odom_publish_frequency", rate)):
        if not 0 < value < math.inf:
            raise SdfValueError(f"{element.where}/{tag} is {value:g}; expected more than 0")
    return DriveSettings(
        model.name,
        _joints(element, "left_joint", model),
        _joints(element, "right_joint", model),
        separation,
        radius,
        rate,
        element.text("frame_id", "odom"),
        element.text("child_frame_id", "base_link"),
        _limits(element, "linear"),
        _limits(element, "angular"),
    )


def _joints(element: SdfElement, tag: str, model: PlacedModel) -> tuple[str, ...]:
    names = tuple(found.content for found in element.children(tag))
    if not names:
        raise SdfElementError(f"{element.where} has no <{tag}>")
    known = {joint.joint.name: joint.joint.kind for joint in model.joints}
    for name in names:
        if known.get(name) not in ("revolute", "continuous"):
            there = ", ".join(joint for joint, kind in known.items() if kind in ("revolute", "continuous")) or "none"
            raise SdfValueError(
                f"{element.where}/{tag} is '{name}', which is no joint that turns; those that do are: {there}"
            )
    return names


def _limits(element: SdfElement, kind: str) -> Limits:
    def limit(bound: str, what: str, default: float) -> float:
        for tag in (f"{bound}_{kind}_{what}", f"{bound}_{what}"):
            if element.child(tag) is not None:
                return element.number(tag)
        return default

    return Limits(
        limit("min", "velocity", -math.inf),
        limit("max", "velocity", math.inf),
        limit("min", "acceleration", -math.inf),
        limit("max", "acceleration", math.inf),
    )
