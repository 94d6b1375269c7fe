"""detection_fusion as others see it: a process on the graph."""

from __future__ import annotations

import numpy as np
import pytest
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import Diagnostics, Peer, ledger, node_and_peer
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2D, Detection2DArray, Detection3D, Detection3DArray, ObjectHypothesisWithPose

from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.ros.clouds import to_cloud
from robot_ai.ros.detections_3d import to_detection_3d_array

SECOND = 1_000_000_000
STATIC = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def stamped(stamp: int, frame: str) -> Header:
    header = Header(frame_id=frame)
    header.stamp.sec, header.stamp.nanosec = divmod(stamp, SECOND)
    return header


class Sensors:
    """A camera and a lidar in one place, looking along x; 500 pixels per unit of slope."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        create = peer.node.create_publisher
        self.placed = create(Detection3DArray, "detections_3d", 10)
        self.seen = create(Detection2DArray, "detections_2d", 10)
        self.info = create(CameraInfo, "camera_info", 10)
        self.cloud = create(PointCloud2, "points", 10)
        self.tf = create(TFMessage, "/tf_static", STATIC)
        self.answers = peer.listen(Detection3DArray, "detections_fused")
        peer.wait(
            lambda: all(p.get_subscription_count() for p in (self.placed, self.seen, self.info, self.cloud, self.tf))
        )
        peer.wait(lambda: peer.node.count_publishers("detections_fused"))
        peer.spin(0.6)

    def calibrate(self) -> None:
        info = CameraInfo(header=stamped(SECOND, "optical"), width=640, height=480, distortion_model="plumb_bob")
        info.k = [500.0, 0.0, 320.0, 0.0, 500.0, 240.0, 0.0, 0.0, 1.0]
        info.d = [0.0] * 5
        self.info.publish(info)

    def place(self) -> None:
        way = TransformStamped(header=stamped(SECOND, "lidar"), child_frame_id="optical")
        # An optical frame: z ahead, x right, y down.
        turn = way.transform.rotation
        turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
        self.tf.publish(TFMessage(transforms=[way]))

    def send_placed(self, stamp: int) -> None:
        """A box at 10 m, 1 m to the left."""
        boxes = Detections3D(
            np.array([[10, 1, 0]], np.float32), np.array([[1, 1, 2]], np.float32), np.zeros(1, np.float32),
            np.full(1, 0.5, np.float32), np.full(1, LABELS.index("obstacle"), np.int64),
        )  # fmt: skip
        self.placed.publish(to_detection_3d_array(boxes, stamped(stamp, "lidar"), ["7"]))

    def send_seen(self, stamp: int, *boxes: tuple[float, float, str]) -> None:
        """Boxes of 50 by 100 pixels around (x, y)."""
        message = Detection2DArray(header=stamped(stamp, "optical"))
        for x, y, name in boxes:
            result = ObjectHypothesisWithPose()
            result.hypothesis.class_id, result.hypothesis.score = name, 0.8
            detection = Detection2D(header=message.header, results=[result])
            detection.bbox.center.position.x, detection.bbox.center.position.y = x, y
            detection.bbox.size_x, detection.bbox.size_y = 50.0, 100.0
            message.detections.append(detection)
        self.seen.publish(message)

    def answer(self, stamp: int) -> Detection3DArray:
        def found() -> list[Detection3DArray]:
            return [a for a in self.answers if a.header.stamp.sec * SECOND + a.header.stamp.nanosec == stamp]

        self.peer.wait(found, 10)
        return found()[0]


def names(answer: Detection3DArray) -> list[str]:
    return sorted(d.results[0].hypothesis.class_id for d in answer.detections)


def test_fusion_from_missing_parts_to_the_whole(tmp_path) -> None:
    with node_and_peer("detection_fusion", [], tmp_path / "log") as (node, peer):
        sensors, diagnostics = Sensors(peer), Diagnostics(peer)
        stamp = 100 * SECOND

        def ask(*boxes: tuple[float, float, str]) -> Detection3DArray:
            nonlocal stamp
            stamp += SECOND // 10
            sensors.send_placed(stamp)
            sensors.send_seen(stamp + SECOND // 100, *boxes)
            return sensors.answer(stamp)

        # Where the box at 10 m, 1 m to the left, is in the image.
        there = (270.0, 240.0, "person")
        assert names(ask(there)) == ["obstacle"]
        diagnostics.until("fusion", lambda level, text, _: level == 2 and "camera_info" in text)
        sensors.calibrate()
        peer.spin(0.3)
        assert names(ask(there)) == ["obstacle"]
        diagnostics.until("fusion", lambda level, text, _: level == 2 and "optical" in text)
        sensors.place()
        peer.spin(0.3)
        answer = ask(there)
        assert names(answer) == ["person"]
        assert answer.header.frame_id == "lidar"
        assert answer.detections[0].bbox.center.position.x == pytest.approx(10)
        assert answer.detections[0].results[0].hypothesis.score == pytest.approx(0.9)
        diagnostics.until("fusion", lambda level, *_: level == 0)
        # Said once each, not with every message.
        assert node.output().count("camera_info has come") == 1
        assert node.output().count("are left out") == 2

        # What only the camera sees, to the right, gets its range from the cloud of the same stamp.
        stamp += SECOND // 10
        points = np.array([[6, -0.6 + 0.01 * i, 0.02 * i] for i in range(-10, 10)], np.float32)
        sensors.cloud.publish(to_cloud(points, stamped(stamp, "lidar")))
        peer.spin(0.2)
        sensors.send_placed(stamp)
        sensors.send_seen(stamp, there, (370.0, 240.0, "dog"))
        answer = sensors.answer(stamp)
        assert names(answer) == ["dog", "person"]
        (dog,) = (d for d in answer.detections if d.results[0].hypothesis.class_id == "dog")
        assert dog.bbox.center.position.x == pytest.approx(6.25, abs=0.1)
        assert dog.bbox.center.position.y == pytest.approx(-0.62, abs=0.1)

        # Half an answer is better than none: neither a broken cloud nor broken detections of the camera cost the
        # lidar's, whose tracks keep their numbers.
        stamp += SECOND // 10
        sensors.cloud.publish(to_cloud(np.full((4, 3), np.nan, np.float32), stamped(stamp, "lidar")))
        peer.spin(0.2)
        sensors.send_placed(stamp)
        sensors.send_seen(stamp, there)
        answer = sensors.answer(stamp)
        assert (names(answer), answer.detections[0].id) == (["person"], "7")
        assert "cloud not used" in node.output()
        answer = ask((np.nan, 240.0, "person"))
        assert (names(answer), answer.detections[0].id) == (["obstacle"], "7")
        diagnostics.until("fusion", lambda level, text, _: level == 2 and "NaN" in text)
        assert names(ask(there)) == ["person"]

        # Nor does a stamp before all time, of a clock that is not set yet.
        sensors.cloud.publish(to_cloud(points, stamped(-SECOND, "lidar")))
        sensors.send_placed(-SECOND)
        sensors.send_seen(-SECOND, there)
        assert len(sensors.answer(-SECOND).detections) == 1

        # A camera that is silent is a counted miss; the lidar's detections stay.
        stamp += SECOND
        sensors.send_placed(stamp)
        assert names(sensors.answer(stamp)) == ["obstacle"]
        values = diagnostics.next("fusion")[2]
        assert values["without a partner in time"] == "1"
        received, published, dropped, in_flight = ledger(values)
        assert (received, published, in_flight, sum(dropped.values())) == (9, 9, 0, 0)
        # Detections that are none are no answer, but counted as what they are.
        broken = Detection3DArray(header=stamped(stamp + SECOND, "lidar"))
        broken.detections.append(Detection3D())
        broken.detections[0].bbox.size.x = -1.0
        sensors.placed.publish(broken)
        diagnostics.until("fusion", lambda *s: ledger(s[2])[2]["malformed"] == 1)


def test_a_silent_lidar_does_not_silence_the_camera(tmp_path) -> None:
    with node_and_peer("detection_fusion", ["-p", "lidar_timeout:=0.5"], tmp_path / "log") as (_, peer):
        sensors, diagnostics = Sensors(peer), Diagnostics(peer)
        sensors.calibrate()
        sensors.place()
        stamp = 100 * SECOND
        sensors.send_placed(stamp)
        assert names(sensors.answer(stamp)) == ["obstacle"]
        peer.spin(0.8)
        # The lidar itself still sends clouds, its detector nothing: ranges come from the points.
        stamp += SECOND
        points = np.array([[6, -0.6 + 0.01 * i, 0.02 * i] for i in range(-10, 10)], np.float32)
        sensors.cloud.publish(to_cloud(points, stamped(stamp, "lidar")))
        peer.spin(0.2)
        sensors.send_seen(stamp, (370.0, 240.0, "dog"))
        answer = sensors.answer(stamp)
        assert (names(answer), answer.header.frame_id) == (["dog"], "lidar")
        assert answer.detections[0].bbox.center.position.x == pytest.approx(6.25, abs=0.1)
        diagnostics.until("fusion", lambda level, text, _: level == 1 and "detections_3d is silent" in text)
        # Without a cloud there is no range, and that is counted.
        stamp += SECOND
        sensors.send_seen(stamp, (370.0, 240.0, "dog"))
        assert names(sensors.answer(stamp)) == []
        values = diagnostics.next("fusion")[2]
        assert values["newest: without a range"] == "1"
        assert values["while detections_3d was silent"] == "2"
        received, published, dropped, in_flight = ledger(values)
        assert (received, published, in_flight, sum(dropped.values())) == (3, 3, 0, 0)
