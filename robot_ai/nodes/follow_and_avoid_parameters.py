"""The parameters of follow_and_avoid. docs/parameters.md is generated from here."""

from __future__ import annotations

from dataclasses import dataclass

from robot_ai.driving.arcs import Vehicle
from robot_ai.driving.errors import DriveSettingsError
from robot_ai.driving.follow_and_avoid import FollowSettings
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import parameter


@dataclass(frozen=True)
class FollowAndAvoidParameters:
    """A consistent set of values."""

    base_frame: str = parameter(
        "base_link", "the robot's frame, x ahead and y left; detections and scan are taken there"
    )
    label: str = parameter("person", "class_id of what is followed", while_running=True)
    score: float = parameter(0.5, "lowest score that is followed", minimum=0.0, maximum=1.0, while_running=True)
    max_speed: float = parameter(0.5, "most forward speed, in m/s", minimum=0.01, maximum=10.0, while_running=True)
    max_turn: float = parameter(1.2, "most turn, in rad/s", minimum=0.01, maximum=10.0, while_running=True)
    max_acceleration: float = parameter(
        0.6, "most gain of speed, in m/s²", minimum=0.01, maximum=20.0, while_running=True
    )
    deceleration: float = parameter(
        1.0, "how well the robot certainly brakes, in m/s²", minimum=0.01, maximum=20.0, while_running=True
    )
    reaction: float = parameter(
        0.3, "longest time, in s, from a sensor's look until the brakes bite", minimum=0.01, maximum=5.0,
        while_running=True,
    )  # fmt: skip
    robot_radius: float = parameter(
        0.3, "radius, in m, of the circle around the base's origin that the robot needs", minimum=0.01, maximum=5.0,
        while_running=True,
    )  # fmt: skip
    stop_distance: float = parameter(
        0.55, "distance, in m, from the robot's circle to anything ahead that it keeps", minimum=0.01, maximum=10.0,
        while_running=True,
    )  # fmt: skip
    follow_distance: float = parameter(
        1.0, "distance, in m, from the robot's circle to a person at which it stops", minimum=0.05, maximum=10.0,
        while_running=True,
    )  # fmt: skip
    person_margin: float = parameter(
        0.3, "distance, in m, that it keeps beside people", minimum=0.0, maximum=5.0, while_running=True
    )
    side_margin: float = parameter(
        0.15, "distance, in m, that it keeps beside other things", minimum=0.0, maximum=5.0, while_running=True
    )
    scan_timeout: float = parameter(
        0.5, "age of the scan, in s, at which the robot stands still", minimum=0.05, maximum=5.0, while_running=True
    )
    memory: float = parameter(
        1.0, "seconds that a person who is no longer seen is still followed", minimum=0.0, maximum=60.0,
        while_running=True,
    )  # fmt: skip
    visit: float = parameter(
        4.0, "seconds that it stays with a person; 0: for ever", minimum=0.0, maximum=3600.0, while_running=True
    )
    wander: float = parameter(
        8.0, "seconds that it then drives on, without following anyone", minimum=0.0, maximum=3600.0, while_running=True
    )
    held: float = parameter(
        1.0, "seconds without the motion that it asked for, by odom, after which it turns to another way; 0: never",
        minimum=0.0, maximum=60.0, while_running=True,
    )  # fmt: skip
    rate: float = parameter(20.0, "commands per second", minimum=1.0, maximum=200.0)
    stamped_cmd_vel: bool = parameter(False, "cmd_vel is a TwistStamped")
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", read_only=True)

    @property
    def settings(self) -> FollowSettings:
        """What the behavior needs. Raises DriveSettingsError."""
        vehicle = Vehicle(
            radius=self.robot_radius,
            speed=self.max_speed,
            turn=self.max_turn,
            acceleration=self.max_acceleration,
            deceleration=self.deceleration,
            reaction=self.reaction,
            stop_distance=self.stop_distance,
        )
        return FollowSettings(
            vehicle=vehicle,
            follow_distance=self.follow_distance,
            person_margin=self.person_margin,
            side_margin=self.side_margin,
            scan_timeout=self.scan_timeout,
            memory=self.memory,
            visit=self.visit,
            wander=self.wander,
            held=self.held,
        )

    def check(self) -> None:
        """Raises ParameterError for values that do not go together."""
        try:
            _ = self.settings
        except DriveSettingsError as error:
            raise ParameterError(str(error)) from error
