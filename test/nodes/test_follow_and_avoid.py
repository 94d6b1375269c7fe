"""follow_and_avoid as others see it: a process on the graph."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from geometry_msgs.msg import TransformStamped, Twist
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import Diagnostics, Peer, node_and_peer
from sensor_msgs.msg import LaserScan
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.ros.detections_3d import to_detection_3d_array

STATIC = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Sensors:
    """A scanner 0.2 m ahead of the base, turned about, and a detector that speaks in the base's frame."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.scan = peer.node.create_publisher(LaserScan, "scan", 10)
        self.detections = peer.node.create_publisher(Detection3DArray, "detections", 10)
        self.tf = peer.node.create_publisher(TFMessage, "/tf_static", STATIC)
        self.commands = peer.listen(Twist, "cmd_vel")
        peer.wait(lambda: all(p.get_subscription_count() for p in (self.scan, self.detections, self.tf)))
        peer.wait(lambda: self.commands)
        peer.spin(0.6)

    def place_scanner(self) -> None:
        way = TransformStamped(header=Header(frame_id="base_link"), child_frame_id="scanner")
        way.transform.translation.x = 0.2
        way.transform.rotation.z, way.transform.rotation.w = 1.0, 0.0
        self.tf.publish(TFMessage(transforms=[way]))
        self.peer.spin(0.3)

    def look(self, ahead: float, *people: tuple[float, float]) -> Twist:
        """A wall `ahead`, nothing else within 10 m; sent for half a second. The last command."""
        ranges = np.full(360, 10.0)
        ranges[90:271] = ahead  # behind the scanner is ahead of the robot
        scan = LaserScan(
            header=Header(frame_id="scanner"), angle_min=0.0, angle_max=2 * math.pi, range_max=20.0,
            angle_increment=2 * math.pi / 360, ranges=ranges.tolist(),
        )  # fmt: skip
        count = len(people)
        centers = np.array([[x, y, 0.9] for x, y in people], np.float32).reshape(-1, 3)
        found = Detections3D(
            centers, np.full((count, 3), 0.5, np.float32), np.zeros(count, np.float32),
            np.full(count, 0.9, np.float32), np.full(count, LABELS.index("person"), np.int64),
        )  # fmt: skip
        for _ in range(10):
            self.scan.publish(scan)
            self.detections.publish(to_detection_3d_array(found, Header(frame_id="base_link")))
            self.peer.spin(0.05)
        return self.commands[-1]


def test_follows_stops_and_never_drives_blind(tmp_path: Path) -> None:
    with node_and_peer("follow_and_avoid", ["-p", "visit:=0.0"], tmp_path / "log") as (_, peer):
        sensors, diagnostics = Sensors(peer), Diagnostics(peer)
        assert sensors.commands[-1] == Twist()
        # Without a transform from the scanner there is no scan, and it is said.
        assert sensors.look(10.0).linear.x == 0
        diagnostics.until("driver", lambda level, text, _: level == 1 and "base_link" in text)
        sensors.place_scanner()

        assert sensors.look(10.0).linear.x > 0.1
        assert diagnostics.next("driver")[2]["mode"] in ("searching", "blind")
        to_the_left = sensors.look(10.0, (4.0, 1.5))
        assert to_the_left.linear.x > 0.1
        assert to_the_left.angular.z > 0.05
        # A person at arm's length, and a wall: 0.3 m of robot, 1 m to people, 0.55 m to a wall.
        assert sensors.look(10.0, (1.4, 0.0)).linear.x == 0
        assert sensors.look(0.6).linear.x == 0
        assert sensors.look(10.0).linear.x > 0
        peer.spin(1.0)
        assert sensors.commands[-1].linear.x == 0


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    with node_and_peer("follow_and_avoid", [], tmp_path / "log") as (_, peer):
        result = peer.set("/follow_and_avoid", follow_distance=0.2)
        assert not result.successful
        assert "less than stop_distance" in result.reason
        assert peer.set("/follow_and_avoid", follow_distance=2.0).successful
