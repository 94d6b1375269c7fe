"""follow_and_avoid: fused detections and a scan in, cmd_vel out; follows people and keeps away from everything."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.timer import Timer
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from robot_ai.driving.arcs import Motion
from robot_ai.driving.follow_and_avoid import FollowAndAvoid, People
from robot_ai.errors import RobotAIError
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.detections import Detections3D
from robot_ai.lidar.scans import scan_points
from robot_ai.nodes.follow_and_avoid_parameters import FollowAndAvoidParameters
from robot_ai.ros.clouds import to_raw_scan
from robot_ai.ros.detections_3d import from_detection_3d_array
from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status, add_subscription
from robot_ai.ros.lifecycle import SafeLifecycleNode, run
from robot_ai.ros.parameters import NodeParameters
from robot_ai.ros.qos import MatchedSubscription
from robot_ai.ros.transforms import TransformSource, open_transforms

QOS_CHECK_PERIOD = 0.25
_ANY = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class FollowAndAvoidNode(SafeLifecycleNode):
    """Topics and parameters: docs/demo.md."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("follow_and_avoid", **kwargs)
        self._driver: FollowAndAvoid | None = None
        self._publisher: Publisher | None = None
        self._transforms: TransformSource | None = None
        self._inputs: dict[str, MatchedSubscription] = {}
        self._odometry: Subscription | None = None
        self._timer: Timer | None = None
        self._counts = {"scans": 0, "detections": 0, "odometry": 0, "refused": 0}
        self._problems: dict[str, str] = {}
        self._motion = Motion()
        self._settings = NodeParameters(
            self,
            FollowAndAvoidParameters,
            is_configured=lambda: self.is_configured,
            validate=FollowAndAvoidParameters.check,
            changed=self._apply,
        )
        self.report(self._statuses)
        self.create_timer(QOS_CHECK_PERIOD, self._check_inputs, clock=self.steady)

    def configure(self) -> None:
        """Creates the publisher, begins to listen to tf."""
        kind = TwistStamped if self._settings.values.stamped_cmd_vel else Twist
        self._transforms = open_transforms(self)
        self._publisher = self.create_publisher(kind, "cmd_vel", QoSProfile(depth=1))

    def activate(self) -> None:
        """Listens and drives."""
        self._driver = FollowAndAvoid(self._settings.values.settings)
        for topic, kind, callback in (
            ("scan", LaserScan, self._on_scan),
            ("detections", Detection3DArray, self._on_detections),
        ):
            self._inputs[topic] = MatchedSubscription(self, kind, topic, callback)
        # Not among the inputs that are looked after: a robot without odometry is driven, too.
        self._odometry = self.create_subscription(Odometry, "odom", self._on_odometry, _ANY)
        # The robot must be told to stand while simulated time stands still, too.
        self._timer = self.create_timer(1.0 / self._settings.values.rate, self._tick, clock=self.steady)

    def deactivate(self) -> None:
        """Stops the robot."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        for subscription in self._inputs.values():
            subscription.destroy()
        self._inputs.clear()
        odometry, self._odometry = self._odometry, None
        if odometry is not None:
            self.destroy_subscription(odometry)
        if self._driver is not None:
            self._send(Motion())
        self._driver = None

    def release(self) -> None:
        """Frees the topics."""
        try:
            self.deactivate()
        finally:
            parts = self._publisher, self._transforms
            self._publisher = self._transforms = None
            self.destroy_all(*parts)

    def _apply(self) -> None:
        if self._driver is not None:
            self._driver.settings = self._settings.values.settings

    def _on_scan(self, message: Any) -> None:
        self._counts["scans"] += 1
        try:
            points = scan_points(to_raw_scan(message)).points
            there = self._to_base(message).apply(points.astype(float))
        except RobotAIError as error:
            self._refuse("scan", error)
            return
        if self._driver is not None:
            self._driver.saw_obstacles(time.monotonic(), there[:, :2].astype(float))
        self._problems.pop("scan", None)

    def _on_detections(self, message: Any) -> None:
        self._counts["detections"] += 1
        try:
            found = from_detection_3d_array(message)
            people = self._people(found, self._to_base(message))
        except RobotAIError as error:
            self._refuse("detections", error)
            return
        if self._driver is not None:
            self._driver.saw_people(time.monotonic(), people)
        self._problems.pop("detections", None)

    def _on_odometry(self, message: Any) -> None:
        self._counts["odometry"] += 1
        twist = message.twist.twist
        speed, turn = float(twist.linear.x), float(twist.angular.z)
        if self._driver is not None and math.isfinite(speed) and math.isfinite(turn):
            self._driver.saw_motion(time.monotonic(), Motion(speed, turn))

    def _people(self, found: Detections3D, to_base: RigidTransform) -> People:
        values = self._settings.values
        chosen = found.take(np.array([name == values.label for name in found.names], bool))
        chosen = chosen.take(chosen.scores >= values.score)
        centers = to_base.apply(chosen.centers.astype(float))[:, :2].astype(float)
        return People(centers, chosen.sizes[:, :2].max(axis=1, initial=0.0).astype(float) / 2)

    def _to_base(self, message: Any) -> RigidTransform:
        """Sensors do not move on the robot: the newest transform serves, and nothing is waited for."""
        frame, base = message.header.frame_id.lstrip("/"), self._settings.values.base_frame.lstrip("/")
        if frame == base:
            return RigidTransform.identity()
        assert self._transforms is not None, "messages come only while active"
        return self._transforms.lookup(base, frame, 0, 0.0)

    def _refuse(self, what: str, error: RobotAIError) -> None:
        self._counts["refused"] += 1
        self._problems[what] = f"{what} not used: {error}"
        self.get_logger().warning(self._problems[what], throttle_duration_sec=5.0)

    def _tick(self) -> None:
        if self._driver is None:
            return
        before = self._driver.mode
        self._motion = self._driver.step(time.monotonic())
        self._send(self._motion)
        if self._driver.mode is not before:
            self.get_logger().info(self._driver.mode.value)

    def _send(self, motion: Motion) -> None:
        assert self._publisher is not None, "the node drives only while there is a publisher"
        twist = Twist()
        twist.linear.x, twist.angular.z = motion.speed, motion.turn
        if self._settings.values.stamped_cmd_vel:
            header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._settings.values.base_frame)
            self._publisher.publish(TwistStamped(header=header, twist=twist))
        else:
            self._publisher.publish(twist)

    def _check_inputs(self) -> None:
        for subscription in self._inputs.values():
            subscription.check()

    def _statuses(self) -> list[Status]:
        name = self.get_fully_qualified_name().lstrip("/")
        status = Status(f"{name}: driver", "driver")
        status.values = {
            "state": self.state_label,
            "mode": self._driver.mode.value if self._driver is not None else "off",
            "speed (m/s)": f"{self._motion.speed:.2f}",
            "turn (rad/s)": f"{self._motion.turn:.2f}",
            **{f"messages: {what}": str(count) for what, count in self._counts.items()},
        }
        if self.last_error:
            status.find(ERROR, self.last_error)
        elif self._driver is None:
            status.find(WARN if self._settings.values.autostart else OK, f"not active: {self.state_label}")
        for problem in self._problems.values():
            status.find(WARN, problem)
        statuses = [status]
        for topic, subscription in self._inputs.items():
            part = Status(f"{name}: {topic}", topic)
            add_subscription(part, subscription.topic, subscription.state)
            statuses.append(part)
        return statuses


def main(args: list[str] | None = None) -> int:
    """Runs the node."""
    return run(FollowAndAvoidNode, args)


if __name__ == "__main__":
    raise SystemExit(main())
