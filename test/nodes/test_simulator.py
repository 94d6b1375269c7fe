"""The simulator as a robot's other nodes see it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_harness import Diagnostics, Peer, node_and_peer
from rosgraph_msgs.msg import Clock
from sdf_worlds import YARD, box, shape_model, world_xml
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray

from robot_ai.lidar.clouds import cloud_view, xyz_of
from robot_ai.ros.clouds import to_raw_cloud
from robot_ai.ros.detections import from_detection_array
from robot_ai.ros.detections_3d import from_detection_3d_array

NODE = "/simulator"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
TOPICS = {
    "camera/image_raw": (Image, "camera_optical_frame"),
    "camera/camera_info": (CameraInfo, "camera_optical_frame"),
    "lidar/points": (PointCloud2, "lidar_link"),
    "scan": (LaserScan, "lidar_link"),
    "imu": (Imu, "imu_link"),
    "odom": (Odometry, "odom"),
    "ground_truth/detections_2d": (Detection2DArray, "camera_optical_frame"),
    "ground_truth/detections_3d": (Detection3DArray, "lidar_link"),
}


def arguments(world: Path | str, **values: object) -> list[str]:
    given = {"world": world, **values}
    return [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]


def nanoseconds(stamp: object) -> int:
    return stamp.sec * 1_000_000_000 + stamp.nanosec  # type: ignore[attr-defined]


def listen_to_all(peer: Peer) -> dict[str, list]:
    heard = {topic: peer.listen(kind, topic) for topic, (kind, _) in TOPICS.items()}
    heard["/tf"] = peer.listen(TFMessage, "/tf")
    heard["/tf_static"] = peer.listen(TFMessage, "/tf_static", LATCHED)
    # As rclpy's time source listens.
    heard["/clock"] = peer.listen(Clock, "/clock", QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
    return heard


def test_a_robot_in_the_yard_over_dds(tmp_path: Path) -> None:
    with node_and_peer("simulator", arguments(YARD, seed=3), tmp_path / "log") as (_, peer):
        heard = listen_to_all(peer)
        steer = peer.node.create_publisher(Twist, "cmd_vel", 10)
        diagnostics = Diagnostics(peer)
        peer.wait(lambda: all(len(messages) >= 3 for topic, messages in heard.items() if topic != "/tf_static"), 60)
        check_headers_and_clock(peer, heard)
        check_contents(heard)
        check_frames(heard)

        command = Twist()
        command.linear.x = 0.5
        steer.publish(command)
        peer.wait(lambda: heard["odom"][-1].pose.pose.position.x > 0.5, 60)
        assert heard["odom"][-1].twist.twist.linear.x > 0.4
        moved = heard["/tf"][-1].transforms[0]
        assert (moved.header.frame_id, moved.child_frame_id) == ("odom", "base_link")
        assert moved.transform.translation.x > 0.4
        command.linear.x = float("nan")
        steer.publish(command)
        _, _, values = diagnostics.until("world", lambda level, text, values: values["commands refused"] == "1")
        assert values["state"] == "active"
        assert values["renderer"] in ("egl", "osmesa", "rays")

        # Time stands still while the node is inactive, and goes on from there.
        assert peer.change(NODE, "deactivate")
        peer.spin(0.3)
        stopped = nanoseconds(heard["/clock"][-1].clock)
        count = len(heard["odom"])
        peer.spin(0.5)
        assert nanoseconds(heard["/clock"][-1].clock) == stopped and len(heard["odom"]) == count
        assert peer.change(NODE, "activate")
        peer.wait(lambda: nanoseconds(heard["/clock"][-1].clock) > stopped, 30)
        assert nanoseconds(heard["/clock"][-1].clock) < stopped + 10_000_000_000
        images = len(heard["camera/image_raw"])
        peer.wait(lambda: len(heard["camera/image_raw"]) > images + 2, 30)


def check_headers_and_clock(peer: Peer, heard: dict[str, list]) -> None:
    times = [nanoseconds(message.clock) for message in heard["/clock"]]
    assert times == sorted(times)
    for topic, (_, frame) in TOPICS.items():
        stamps = [nanoseconds(message.header.stamp) for message in heard[topic]]
        assert heard[topic][-1].header.frame_id == frame, topic
        assert stamps == sorted(stamps), topic
        assert stamps[-1] <= nanoseconds(heard["/clock"][-1].clock) + 50_000_000, topic
    for topic in (*TOPICS, "/tf", "/clock"):
        (offer,) = peer.node.get_publishers_info_by_topic(f"/{topic.lstrip('/')}")
        assert offer.qos_profile.reliability == ReliabilityPolicy.RELIABLE, topic
    # Boxes belong to an image and a cloud.
    pairs = (("ground_truth/detections_2d", "camera/image_raw"), ("ground_truth/detections_3d", "lidar/points"))
    for truth, source in pairs:
        sources = {nanoseconds(message.header.stamp) for message in heard[source]}
        assert any(nanoseconds(message.header.stamp) in sources for message in heard[truth])


def check_contents(heard: dict[str, list]) -> None:
    image, info = heard["camera/image_raw"][-1], heard["camera/camera_info"][-1]
    assert (image.width, image.height, image.encoding, image.step) == (640, 480, "rgb8", 1920)
    pixels = np.frombuffer(image.data, np.uint8).reshape(480, 640, 3).astype(int)
    # The red box of a person stands straight ahead.
    assert pixels[240, 320, 0] > 2 * pixels[240, 320, 1:].max()
    assert (info.width, info.height, info.distortion_model) == (640, 480, "plumb_bob")
    assert abs(info.k[0] - 554.38) < 0.01 and (info.k[2], info.k[5]) == (320, 240)

    cloud = heard["lidar/points"][-1]
    assert (cloud.height, cloud.width, cloud.point_step) == (16, 450, 32)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "intensity", "ring"]
    points = xyz_of(cloud_view(to_raw_cloud(cloud), 100_000))
    assert 1000 < len(points) < 7200 and np.isfinite(points).all()

    scan = heard["scan"][-1]
    assert len(scan.ranges) == 360
    assert abs(scan.angle_min + scan.angle_increment * 180) < 0.02, "beam 180 looks ahead"
    assert abs(scan.ranges[180] - 2.8) < 0.05

    imu = heard["imu"][-1]
    assert abs(imu.linear_acceleration.z - 9.8) < 0.5
    assert abs(imu.angular_velocity_covariance[0] - 0.0002**2) < 1e-12

    seen = heard["ground_truth/detections_2d"][-1]
    names = {detection.id: detection for detection in seen.detections}
    person = names["box_person"]
    assert person.results[0].hypothesis.class_id == "person"
    assert abs(person.results[0].pose.pose.position.z - 2.8) < 0.15
    assert "person" in from_detection_array(seen).names
    present = heard["ground_truth/detections_3d"][-1]
    around = from_detection_3d_array(present)
    index = [detection.id for detection in present.detections].index("box_person")
    np.testing.assert_allclose(around.centers[index], [3.0, 0.0, 0.25], atol=0.05)
    np.testing.assert_allclose(around.sizes[index], [0.4, 0.6, 1.7], atol=0.01)


def check_frames(heard: dict[str, list]) -> None:
    frames = {entry.child_frame_id: entry for message in heard["/tf_static"] for entry in message.transforms}
    assert set(frames) == {"camera_link", "camera_optical_frame", "lidar_link", "imu_link"}
    assert frames["lidar_link"].header.frame_id == "base_link"
    assert abs(frames["lidar_link"].transform.translation.z - 0.5) < 1e-6
    turn = frames["camera_optical_frame"].transform.rotation
    np.testing.assert_allclose([turn.x, turn.y, turn.z, turn.w], [-0.5, 0.5, -0.5, 0.5], atol=1e-6)


def test_a_bad_world_is_told_and_can_be_mended(tmp_path: Path) -> None:
    bad = tmp_path / "bad.sdf"
    bad.write_text(world_xml(shape_model("thing", "0 0 0 0 0 0", "<mesh><uri>model://gone/x.obj</uri></mesh>")))
    with node_and_peer("simulator", arguments(bad), tmp_path / "log") as (node, peer):
        assert peer.state(NODE) == "unconfigured"
        assert f"{bad}: sdf/world[test]/model[thing]/link[link]/visual[v]" in node.output()
        good = tmp_path / "good.sdf"
        ground = '<model name="g"><static>true</static><link name="l"><collision name="c"><geometry><plane/></geometry>'
        ground += "</collision></link></model>"
        good.write_text(world_xml(ground + shape_model("thing", "1 1 0.5 0 0 0", box(1, 1, 2))))
        assert not peer.set(NODE, robot_pose="here").successful
        # A world without a robot gets the one that is asked for, where it is asked to be, as fast as it can.
        robot = YARD.parent / "models" / "test_robot" / "model.sdf"
        changes = {"world": str(good), "robot": str(robot), "robot_pose": "5 1 1.57", "real_time_factor": 0.0}
        assert peer.set(NODE, **changes).successful
        assert peer.change(NODE, "configure") and peer.change(NODE, "activate")
        scans = peer.listen(LaserScan, "scan")
        peer.wait(lambda: len(scans) > 2, 30)
        # It faces along y, so the box is to its left, and beam 180 looks ahead.
        assert abs(scans[-1].ranges[270] - 3.5) < 0.05
        assert np.isposinf(scans[-1].ranges[180])
        _, _, values = Diagnostics(peer).next("world")
        assert float(values["real-time factor"]) > 1.5


def test_a_renderer_that_was_fallen_back_to_is_told_with_its_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real libraries, made unusable by telling libglvnd of no vendor; OSMesa, where it is installed, needs none."""
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_DIRS", "/nonexistent")
    monkeypatch.setenv("LIBGL_DRIVERS_PATH", "/nonexistent")
    with node_and_peer("simulator", arguments(YARD), tmp_path / "log") as (_, peer):
        images = peer.listen(Image, "camera/image_raw")
        peer.wait(lambda: images, 90)
        level, text, values = Diagnostics(peer).next("world")
    assert values["not drawn with"].startswith("egl: ")
    assert "libegl1" in values["not drawn with"]
    if values["renderer"] == "rays":
        assert level and "casting rays: egl: " in text
