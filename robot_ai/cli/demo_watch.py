"""What the demo's own process hears of the robot: detections beside the truth, moments to draw, speeds and stops."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Bool
from vision_msgs.msg import Detection2DArray, Detection3DArray, VisionInfo

from robot_ai.bringup.table import BRIDGE
from robot_ai.cli.demo_stops import StopLog
from robot_ai.errors import RobotAIError
from robot_ai.lidar.clouds import MAX_POINTS, cloud_view, xyz_of
from robot_ai.lidar.detections import Detections3D
from robot_ai.perception.encodings import MAX_PIXELS
from robot_ai.ros.clouds import to_raw_cloud
from robot_ai.ros.detections import from_detection_array
from robot_ai.ros.images import image_to_bgr
from robot_ai.ros.scoring import StampedScores
from robot_ai.ros.stamps import stamp_of
from robot_ai.ros.transforms import open_transforms
from robot_ai.viewing.pictures import Moment

BASE = "base_link"
SAFETY = f"{BRIDGE.executable.name}: safety"
_SENSOR = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
_MANY = QoSProfile(depth=50)
_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# So many images and clouds wait for their detections.
_KEPT = 20
# The path is drawn from points so far apart, in meters.
_PATH_STEP = 0.05


@dataclass
class Counts:
    """What came, by the image's stamp in nanoseconds: `shown` images, `answered` ones."""

    shown: dict[int, float] = field(default_factory=dict)
    answered: set[int] = field(default_factory=set)

    def lost(self, first: float, last: float) -> list[int]:
        """The stamps of images of this span of the monotonic clock that got no answer."""
        return [s for s, when in self.shown.items() if first <= when <= last and s not in self.answered]


class DemoWatch(Node):
    """Listens; `draw` is called for every moment that is complete, with its stamp and what makes the moment, in the
    thread that spins."""

    def __init__(self, topics: dict[str, str], draw: Callable[[int, Callable[[], Moment]], None]) -> None:
        super().__init__("demo")
        self.scores = StampedScores(self._to_base)
        self.counts = Counts()
        self.diagnostics: dict[str, dict[str, str]] = {}
        self.faults: dict[str, str] = {}
        self.persons_seen = 0
        self.log = StopLog()
        self.motors = 0.0
        self.distance_driven = 0.0
        self._draw = draw
        self._transforms = open_transforms(self)
        self._shown: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._clouds: OrderedDict[int, Any] = OrderedDict()
        self._newest_placed = (0, Detections3D.empty())
        self._pose = (0.0, 0.0, 0.0)
        self._path: list[tuple[float, float]] = []
        self._clock: tuple[float, int] | None = None
        self._first_clock: tuple[float, int] | None = None
        self._origin = 0
        listen = self.create_subscription
        listen(Image, topics["image"], self._on_image, _SENSOR)
        listen(PointCloud2, topics["points"], self._on_points, _SENSOR)
        listen(Detection2DArray, topics["detections_2d"], lambda m: self._on_seen("found", m), _MANY)
        listen(Detection2DArray, "ground_truth/detections_2d", lambda m: self._on_seen("truth", m), _MANY)
        listen(Detection3DArray, topics["detections_fused"], lambda m: self._on_placed("found", m), _MANY)
        listen(Detection3DArray, "ground_truth/detections_3d", lambda m: self._on_placed("truth", m), _MANY)
        listen(VisionInfo, topics["vision_info"], self._on_vision_info, _LATCHED)
        listen(Odometry, "odom", self._on_odometry, _SENSOR)
        listen(Bool, "mcu/stop", self._on_stop, 10)
        listen(Twist, "mcu/motors", self._on_motors, _SENSOR)
        listen(Clock, "/clock", self._on_clock, _SENSOR)
        listen(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)

    @property
    def real_time_factor(self) -> float:
        """Simulated over real time since the first message on /clock; NaN before."""
        if self._clock is None or self._first_clock is None or self._clock[0] <= self._first_clock[0]:
            return math.nan
        return (self._clock[1] - self._first_clock[1]) / 1e9 / (self._clock[0] - self._first_clock[0])

    def begin(self) -> None:
        """The drive begins: its times, images and stops are counted from here."""
        self._origin = self._clock[1] if self._clock else 0
        self.counts = Counts()
        self.log.begin()

    def seconds(self, stamp: int | None = None) -> float:
        """Simulated seconds from the beginning of the drive to a stamp in nanoseconds, or to now."""
        if stamp is None:
            stamp = self._clock[1] if self._clock else self._origin
        return (stamp - self._origin) / 1e9

    @property
    def running(self) -> bool:
        """Whether detections, fused ones too, have come."""
        return bool(self.scores.image.frames and self.scores.space.frames)

    def clear_recall(self, name: str) -> float:
        """Share of the easy things of a class (nearly whole in sight, within 6 m) that any backend found."""
        counts = [scorer.clear[name] for scorer in self.scores.by_detector.values()]
        there = sum(total for _, total in counts)
        return sum(found for found, _ in counts) / there if there else math.nan

    def value(self, status: str, key: str, default: str = "-") -> str:
        """A value of the newest /diagnostics."""
        return self.diagnostics.get(status, {}).get(key, default)

    def _on_image(self, message: Any) -> None:
        self._show("image", message)

    def _on_points(self, message: Any) -> None:
        self._clouds[stamp_of(message)] = message
        while len(self._clouds) > _KEPT:
            self._clouds.popitem(last=False)

    def _on_seen(self, kind: str, message: Any) -> None:
        stamp = stamp_of(message)
        if kind == "truth":
            self.counts.shown[stamp] = time.monotonic()
        else:
            self.counts.answered.add(stamp)
            self.persons_seen += sum(r.hypothesis.class_id == "person" for d in message.detections for r in d.results)
            self._show("found", message)
        self.scores.seen(kind, message)

    def _on_placed(self, kind: str, message: Any) -> None:
        try:
            boxes = self.scores.placed(kind, message)
        except RobotAIError as error:
            self.get_logger().warning(f"detections are not scored: {error}", throttle_duration_sec=5.0)
            return
        if kind == "found":
            self._newest_placed = stamp_of(message), boxes
        else:
            self.log.saw_people([detection.id for detection in message.detections], boxes)

    def _on_vision_info(self, message: Any) -> None:
        # As to_vision_info writes it: "nanodet_g 1.0 (pytorch)".
        self.scores.use(message.method.rpartition("(")[2].rstrip(")"))

    def _show(self, kind: str, message: Any) -> None:
        stamp = stamp_of(message)
        entry = self._shown.setdefault(stamp, {})
        entry[kind] = message
        while len(self._shown) > _KEPT:
            self._shown.popitem(last=False)
        if len(entry) < 2:
            return
        self._draw(stamp, lambda: self._moment(entry))
        del self._shown[stamp]

    def _moment(self, entry: dict[str, Any]) -> Moment:
        # A copy: the decoded image may be a view of the message.
        image = image_to_bgr(entry["image"], MAX_PIXELS).copy()
        stamp, boxes = self._newest_placed
        return Moment(image, from_detection_array(entry["found"]), self._cloud(stamp), boxes, self._path_from_here())

    def _cloud(self, stamp: int) -> NDArray[np.floating]:
        """The points that the boxes were found in: on a robot that turns, newer ones have turned away from them."""
        try:
            message = self._clouds[stamp]
            return self._to_base(message).apply(xyz_of(cloud_view(to_raw_cloud(message), MAX_POINTS)))
        except KeyError:
            pass
        except RobotAIError as error:
            self.get_logger().warning(f"a cloud is not drawn: {error}", throttle_duration_sec=5.0)
        return np.empty((0, 3), np.float32)

    def _path_from_here(self) -> NDArray[np.float64]:
        x, y, yaw = self._pose
        offset = np.array(self._path, float).reshape(-1, 2) - (x, y)
        cos, sin = math.cos(yaw), math.sin(yaw)
        return offset @ np.array([[cos, -sin], [sin, cos]])

    def _to_base(self, message: Any) -> Any:
        return self._transforms.lookup(BASE, message.header.frame_id.lstrip("/"), 0, 0.0)

    def _on_odometry(self, message: Any) -> None:
        position, turn = message.pose.pose.position, message.pose.pose.orientation
        self._pose = (position.x, position.y, 2 * math.atan2(turn.z, turn.w))
        self.log.moved(self.seconds(), message.twist.twist.linear.x)
        if not self._path:
            self._path.append((position.x, position.y))
        step = math.dist(self._path[-1], (position.x, position.y))
        if step >= _PATH_STEP:
            self._path.append((position.x, position.y))
            self.distance_driven += step

    def _on_stop(self, message: Any) -> None:
        self.log.said_stop(self.seconds(), message.data)

    def _on_motors(self, message: Any) -> None:
        self.motors = float(message.linear.x)

    def _on_clock(self, message: Any) -> None:
        self._clock = (time.monotonic(), int(Time.from_msg(message.clock).nanoseconds))
        self._first_clock = self._first_clock or self._clock

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            self.diagnostics[status.name] = {pair.key: pair.value for pair in status.values}
            level = int.from_bytes(status.level, "little")
            if level >= 2:
                self.faults[status.name] = status.message
            else:
                self.faults.pop(status.name, None)
            if status.name == SAFETY:
                self.log.said_state(self.value(SAFETY, "state"), status.message)
