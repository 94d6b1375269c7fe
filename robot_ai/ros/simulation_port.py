"""The topics of a simulated world: names, types and QoS as ros_gz_bridge has them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, Imu, LaserScan, PointCloud2
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection2DArray, Detection3DArray

from robot_ai.pipeline.ledger import RollingRate
from robot_ai.ros import simulation_messages as convert
from robot_ai.simulation.diff_drive import DriveSettings
from robot_ai.simulation.imu import ImuReading
from robot_ai.simulation.scene import MountedSensor, Scene, static_frames
from robot_ai.simulation.sdf_types import CameraSpec, ImuSpec, LidarSpec
from robot_ai.simulation.simulation import DriveReading, ImageReading, Reading, SweepReading

# As ros_gz_bridge publishes.
_BRIDGED = QoSProfile(depth=10)
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Whoever steers is heard, whatever is offered.
_ANY = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
SENSOR_TOPICS = {"camera": "camera", "lidar": "lidar/points", "scan": "scan", "imu": "imu"}


@dataclass
class _Output:
    """One topic: who publishes on it, and how often lately."""

    publisher: Publisher
    rate: RollingRate
    sent: int = 0


def sensor_topics(sensors: tuple[MountedSensor, ...]) -> dict[MountedSensor, str]:
    """The topic of each sensor, a camera's without image_raw. The first of a kind has the name that the perception
    nodes know; further ones have their own names in front."""
    topics: dict[MountedSensor, str] = {}
    for mounted in sensors:
        kind = sensor_kind(mounted)
        base = SENSOR_TOPICS[kind]
        taken = base in topics.values()
        topics[mounted] = f"{mounted.sensor.name}/{base}" if taken else base
    return topics


def sensor_kind(mounted: MountedSensor) -> str:
    """camera, lidar, scan (a lidar of one ring) or imu."""
    spec = mounted.sensor.spec
    if isinstance(spec, CameraSpec):
        return "camera"
    if isinstance(spec, LidarSpec):
        return "scan" if spec.rings == 1 else "lidar"
    return "imu"


class SimulationPort:
    """Publishers and the subscription of one world. `publish` and `clock` are called from the simulation's thread."""

    def __init__(
        self, node: Node, scene: Scene, drive: DriveSettings | None, command: Callable[[float, float], None]
    ) -> None:
        self._node = node
        self._drive = drive
        self._command = command
        self._topics = sensor_topics(scene.sensors)
        self._outputs: dict[str, _Output] = {}
        self.refused = 0
        """Commands that were not finite numbers."""
        self._create(Clock, "/clock")
        self._truth = {
            kind: next((m for m in scene.sensors if sensor_kind(m) == kind), None) for kind in ("camera", "lidar")
        }
        for mounted, topic in self._topics.items():
            self._create_sensor(mounted, topic)
        if self._truth["camera"] is not None:
            self._create(Detection2DArray, "ground_truth/detections_2d")
        if self._truth["lidar"] is not None:
            self._create(Detection3DArray, "ground_truth/detections_3d")
        self._subscription = None
        if drive is not None:
            self._create(Odometry, "odom")
            self._create(TFMessage, "/tf")
            self._subscription = node.create_subscription(Twist, "cmd_vel", self._on_command, _ANY)
        self._announce_frames(scene, drive)

    def wants(self, mounted: MountedSensor) -> bool:
        """Whether anybody listens to a sensor; IMUs cost too little to ask."""
        kind, topic = sensor_kind(mounted), self._topics[mounted]
        if kind == "camera":
            return self._heard(f"{topic}/image_raw", f"{topic}/camera_info") or self.wants_truth(mounted)
        return kind == "imu" or self._heard(topic) or self.wants_truth(mounted)

    def wants_truth(self, mounted: MountedSensor) -> bool:
        """Whether anybody listens to the ground truth that comes with a sensor."""
        if mounted is self._truth["camera"]:
            return self._heard("ground_truth/detections_2d")
        return mounted is self._truth["lidar"] and self._heard("ground_truth/detections_3d")

    def clock(self, nanoseconds: int) -> None:
        """Publishes the time."""
        self._send("/clock", Clock(clock=convert.to_time(nanoseconds)))

    def publish(self, reading: Reading) -> None:
        """Publishes what was measured."""
        stamp, value, mounted = convert.to_time(reading.time), reading.value, reading.sensor
        if isinstance(value, DriveReading):
            assert self._drive is not None, "only a drive measures odometry"
            header = Header(stamp=stamp, frame_id=self._drive.frame)
            message = convert.to_odometry(value.odometry, self._drive.child_frame, header)
            self._send("odom", message)
            self._send("/tf", convert.to_odometry_tf(message))
            return
        assert mounted is not None, "all but the drive are sensors"
        header, topic = Header(stamp=stamp, frame_id=mounted.frame), self._topics[mounted]
        spec = mounted.sensor.spec
        if isinstance(value, ImageReading) and isinstance(spec, CameraSpec):
            self._send(f"{topic}/camera_info", convert.to_camera_info(spec, header))
            self._send(f"{topic}/image_raw", convert.to_image(value.pixels, header))
            if value.seen is not None:
                self._send("ground_truth/detections_2d", convert.to_seen(value.seen, header))
        elif isinstance(value, SweepReading) and isinstance(spec, LidarSpec):
            if spec.rings == 1:
                self._send(topic, convert.to_scan(value.sweep, spec, 1.0 / mounted.sensor.rate, header))
            else:
                self._send(topic, convert.to_points(value.sweep, header))
            if value.present is not None:
                self._send("ground_truth/detections_3d", convert.to_present(value.present, header))
        elif isinstance(value, ImuReading) and isinstance(spec, ImuSpec):
            self._send(topic, convert.to_imu(value, spec, header))

    def rates(self, now: float) -> dict[str, float]:
        """Messages per second of real time on each topic, lately; now: a monotonic time."""
        return {name: output.rate.value(now) for name, output in list(self._outputs.items())}

    def destroy(self) -> None:
        """Frees the topics."""
        for output in self._outputs.values():
            self._node.destroy_publisher(output.publisher)
        self._outputs.clear()
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def _create_sensor(self, mounted: MountedSensor, topic: str) -> None:
        kind = sensor_kind(mounted)
        if kind == "camera":
            self._create(Image, f"{topic}/image_raw")
            self._create(CameraInfo, f"{topic}/camera_info")
        else:
            self._create({"lidar": PointCloud2, "scan": LaserScan, "imu": Imu}[kind], topic)

    def _create(self, message_type: Any, topic: str, qos: QoSProfile = _BRIDGED) -> None:
        publisher = self._node.create_publisher(message_type, topic, qos)
        self._outputs[topic] = _Output(publisher, RollingRate())

    def _announce_frames(self, scene: Scene, drive: DriveSettings | None) -> None:
        """Publishes the fixed frames of every model with sensors, from the drive's child frame or the first link on."""
        frames = []
        for name in dict.fromkeys(mounted.model for mounted in scene.sensors):
            model = scene.placed_model(name)
            base = model.links[0].name
            if drive is not None and drive.model == name:
                base = next((link.name for link in model.links if link.name == drive.child_frame), base)
            frames += static_frames(model, base)
        if frames:
            self._create(TFMessage, "/tf_static", _LATCHED)
            self._send("/tf_static", convert.to_static_tf(frames, convert.to_time(0)))

    def _send(self, topic: str, message: Any) -> None:
        output = self._outputs[topic]
        output.publisher.publish(message)
        output.sent += 1
        output.rate.add(time.monotonic())

    def _heard(self, *topics: str) -> bool:
        return any(self._outputs[topic].publisher.get_subscription_count() for topic in topics)

    def _on_command(self, message: Twist) -> None:
        linear, angular = message.linear.x, message.angular.z
        if math.isfinite(linear) and math.isfinite(angular):
            self._command(linear, angular)
            return
        self.refused += 1
        self._node.get_logger().warning(
            f"cmd_vel of {linear} m/s and {angular} rad/s is left out: not finite", throttle_duration_sec=5.0
        )
