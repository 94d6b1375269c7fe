"""`robot_ai view`: a running robot in Rerun's viewer, in the browser, and as a recording."""

from __future__ import annotations

import argparse
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Bool
from vision_msgs.msg import Detection2DArray, Detection3DArray

from robot_ai.errors import RobotAIError
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.clouds import MAX_POINTS, cloud_view, xyz_of
from robot_ai.lidar.detections import Detections3D
from robot_ai.perception.encodings import MAX_PIXELS
from robot_ai.pipeline.cloud_detector import into_frame
from robot_ai.pipeline.rate import RateLimiter
from robot_ai.ros.clouds import to_raw_cloud
from robot_ai.ros.detections import from_detection_array
from robot_ai.ros.detections_3d import from_detection_3d_array
from robot_ai.ros.images import image_to_bgr
from robot_ai.ros.lifecycle import with_info
from robot_ai.ros.qos import MatchedSubscription
from robot_ai.ros.stamps import stamp_of
from robot_ai.ros.transforms import open_transforms
from robot_ai.viewing.rerun_log import RerunLog

_CHECK_PERIOD = 0.25
_MANY = QoSProfile(depth=20, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATENCY = " p50 (ms)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--image", default="camera/image_raw")
    parser.add_argument("--detections", default="camera/detections", help="2D detections")
    parser.add_argument("--points", default="lidar/points")
    parser.add_argument("--fused", default="detections_fused", help="3D detections")
    parser.add_argument("--base-frame", default="base_link", help="the robot's frame (base_link)")
    parser.add_argument("--rate", type=float, default=5.0, help="most images and clouds per second (5)")
    parser.add_argument("--recording", type=Path, help="write an .rrd file, which `rerun FILE` opens")
    parser.add_argument("--port", type=int, default=9090, help="of the viewer for browsers; 0: none is served (9090)")
    parser.add_argument("--grpc-port", type=int, default=9876, help="that the viewer gets its data from (9876)")


def run(args: argparse.Namespace) -> int:
    """Shows until a signal comes."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    log = RerunLog(args.recording, args.port or None, args.grpc_port)
    if log.served:
        print(f"Open {log.served.address} in a browser; Ctrl-C ends it.", flush=True)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    node = RobotViewer(log, args)
    # A third of what SingleThreadedExecutor costs, at some 300 messages a second.
    executor = EventsExecutor()
    executor.add_node(node)
    try:
        while not stopped:
            executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
        rclpy.try_shutdown()
        log.close()
    for topic, count in node.counts.items():
        print(f"  {topic:<36}{count:>8}")
    return 0


class RobotViewer(Node):
    """Hands messages to the log, images and clouds at most so often."""

    def __init__(self, log: RerunLog, args: argparse.Namespace) -> None:
        super().__init__("robot_viewer")
        self.counts: dict[str, int] = {}
        self._log = log
        self._args = args
        self._stopped: bool | None = None
        self._now = 0.0
        self._transforms = open_transforms(self)
        self._inputs: list[MatchedSubscription] = []
        self._listen(Image, args.image, self._on_image, limited=True)
        self._listen(PointCloud2, args.points, self._on_points, limited=True)
        self._listen(Detection2DArray, args.detections, lambda m: log.boxes(from_detection_array(m)))
        self._listen(
            Detection2DArray, "ground_truth/detections_2d", lambda m: log.boxes(from_detection_array(m), truth=True)
        )
        self._listen(Detection3DArray, args.fused, lambda m: log.boxes_3d(self._placed(m)))
        self._listen(
            Detection3DArray, "ground_truth/detections_3d", lambda m: log.boxes_3d(self._placed(m), truth=True)
        )
        self._listen(Odometry, "odom", self._on_odometry, limited=True)
        # These have no stamp, or one of another clock: they are shown at the time of what came last.
        self.create_subscription(Bool, "mcu/stop", self._on_stop, _MANY)
        self.create_subscription(Twist, "mcu/motors", lambda m: log.number("speed/motors", m.linear.x), _MANY)
        self.create_subscription(Twist, "cmd_vel", lambda m: log.number("speed/wanted", m.linear.x), _MANY)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, _MANY)
        self.create_timer(_CHECK_PERIOD, self._check, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable[..., None], *args: Any, **kwargs: Any
    ) -> Subscription:
        """As with SafeLifecycleNode."""
        return super().create_subscription(msg_type, topic, with_info(callback), *args, **kwargs)

    def _listen(self, kind: type, topic: str, show: Callable[[Any], None], limited: bool = False) -> None:
        limiter, rate = RateLimiter(), self._args.rate if limited else 0.0
        self.counts[topic] = 0

        def receive(message: Any) -> None:
            if not limiter.allow(time.monotonic(), rate):
                return
            self._now = stamp_of(message) / 1e9
            self._log.at(self._now)
            try:
                show(message)
                self.counts[topic] += 1
            except RobotAIError as error:
                self.get_logger().warning(f"{topic}: not shown: {error}", throttle_duration_sec=5.0)

        self._inputs.append(MatchedSubscription(self, kind, topic, receive))

    def _check(self) -> None:
        for subscription in self._inputs:
            subscription.check()

    def _to_base(self, message: Any) -> RigidTransform:
        return self._transforms.lookup(self._args.base_frame, message.header.frame_id.lstrip("/"), 0, 0.0)

    def _placed(self, message: Any) -> Detections3D:
        return into_frame(from_detection_3d_array(message), self._to_base(message))

    def _on_image(self, message: Any) -> None:
        self._log.image(image_to_bgr(message, MAX_PIXELS))

    def _on_points(self, message: Any) -> None:
        cloud = xyz_of(cloud_view(to_raw_cloud(message), MAX_POINTS))
        self._log.cloud(self._to_base(message).apply(cloud))

    def _on_odometry(self, message: Any) -> None:
        place, turn = message.pose.pose.position, message.pose.pose.orientation
        pose = RigidTransform.from_quaternion((place.x, place.y, place.z), (turn.x, turn.y, turn.z, turn.w))
        self._log.pose(pose)
        self._log.number("speed/driven", message.twist.twist.linear.x)

    def _on_stop(self, message: Any) -> None:
        self._log.number("speed/stop", float(message.data))
        if message.data is not self._stopped:
            self._stopped = message.data
            self._log.text("log/mcu", "STOP" if message.data else "released", warning=bool(message.data))

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            node = status.name.partition(":")[0]
            for pair in status.values:
                if pair.key.endswith(_LATENCY):
                    self._log.number(f"latency/{node}/{pair.key.removesuffix(_LATENCY)}", float(pair.value))
            if int.from_bytes(status.level, "little") >= 2:
                self._log.text(f"log/{node}", f"{status.name}: {status.message}", warning=True)
