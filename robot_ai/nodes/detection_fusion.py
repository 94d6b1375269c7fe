"""detection_fusion: 2D and 3D detections of one moment in, Detection3DArray out."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, Detection3DArray

from robot_ai.errors import RobotAIError
from robot_ai.fusion.fuse import FusionResult, View, fuse
from robot_ai.fusion.synchronizer import Matched, PairSynchronizer
from robot_ai.geometry.camera import CameraModel
from robot_ai.geometry.errors import CalibrationError, TransformError
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.clouds import MAX_POINTS, cloud_view, xyz_of
from robot_ai.lidar.detections import Detections3D
from robot_ai.lidar.errors import CloudError
from robot_ai.nodes.detection_fusion_parameters import DetectionFusionParameters
from robot_ai.pipeline.latency import StageLatencies
from robot_ai.pipeline.ledger import DropCause, FrameLedger
from robot_ai.pipeline.worker import Frame, FrameWorker, SourceAccount, Stages
from robot_ai.ros.clouds import to_raw_cloud
from robot_ai.ros.detections import from_detection_array
from robot_ai.ros.detections_3d import from_detection_3d_array, to_detection_3d_array
from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status, add_frames, add_latencies, add_subscription
from robot_ai.ros.errors import WorkerStuckError
from robot_ai.ros.lifecycle import SafeLifecycleNode, run
from robot_ai.ros.parameters import NodeParameters
from robot_ai.ros.qos import MatchedSubscription
from robot_ai.ros.stamps import nanoseconds_of, stamp_of
from robot_ai.ros.transforms import TransformSource, open_transforms

QOS_CHECK_PERIOD = 0.25
# How often pairs are looked for that have waited long enough, in seconds.
POLL_PERIOD = 0.02
STOP_TIMEOUT = 10.0
# Clouds are kept until the detections made from them arrive.
CLOUDS_KEPT = 8


@dataclass(frozen=True)
class _Moment:
    """A pair, the lidar's boxes in it with their tracks, and the header that the answer goes out under."""

    pair: Matched
    placed: Detections3D
    ids: list[str]
    header: Header


@dataclass(frozen=True)
class _Fused:
    """What was fused, with the tracks of the lidar's boxes; `problem` says why the camera had no part in it."""

    detections: Detections3D
    ids: list[str]
    problem: RobotAIError | None = None


@dataclass(frozen=True)
class _Batch:
    detections: list[_Fused]
    durations: dict[str, float]


class DetectionFusion(SafeLifecycleNode):
    """Joins one camera and one lidar. Topics, services and parameters: docs/lidar.md."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("detection_fusion", **kwargs)
        self._account = SourceAccount(FrameLedger(), StageLatencies())
        self._sync: PairSynchronizer | None = None
        self._worker: FrameWorker[_Moment, _Fused] | None = None
        self._publisher: Publisher | None = None
        self._transforms: TransformSource | None = None
        self._inputs: dict[str, MatchedSubscription] = {}
        self._clouds: OrderedDict[int, PointCloud2] = OrderedDict()
        self._clouds_lock = threading.Lock()
        self._info: CameraInfo | None = None
        # The frame of answers while detections_3d is silent: the last one that it had, or the cloud's.
        self._lidar_frame = ""
        self._problem: RobotAIError | None = None
        self._is_unled = False
        self._last: FusionResult | None = None
        self._settings = NodeParameters(
            self,
            DetectionFusionParameters,
            is_configured=lambda: self.is_configured,
            validate=DetectionFusionParameters.check,
        )
        self.report(self._statuses)
        self.create_timer(QOS_CHECK_PERIOD, self._check_subscriptions, clock=self.steady)
        self.create_timer(POLL_PERIOD, self._submit_ready, clock=self.steady)

    def configure(self) -> None:
        """Creates the publisher, begins to listen to tf."""
        self._transforms = open_transforms(self)
        self._publisher = self.create_publisher(Detection3DArray, "detections_fused", 10)

    def activate(self) -> None:
        """Starts the worker and listens."""
        values = self._settings.values
        self._sync = PairSynchronizer(values.slop, values.timeout)
        self._worker = FrameWorker(
            {"": self._account}, Stages(self._decode, self._detect, self._publish), self._complain
        )
        self._worker.start()
        for topic, kind, callback in (
            ("detections_3d", Detection3DArray, self._on_placed),
            ("detections_2d", Detection2DArray, self._on_seen),
            ("camera_info", CameraInfo, self._on_info),
            ("points", PointCloud2, self._on_cloud),
        ):
            self._inputs[topic] = MatchedSubscription(self, kind, topic, callback)

    def deactivate(self) -> None:
        """Stops listening; what waits for a partner counts as disabled."""
        for subscription in self._inputs.values():
            subscription.destroy()
        self._inputs.clear()
        sync, self._sync = self._sync, None
        for _ in range(sync.clear() if sync is not None else 0):
            self._account.ledger.drop(DropCause.DISABLED)
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(STOP_TIMEOUT):
            raise WorkerStuckError(f"fusion did not end within {STOP_TIMEOUT:.0f} s; its thread is abandoned")

    def release(self) -> None:
        """Frees the topics."""
        try:
            self.deactivate()
        finally:
            parts = self._publisher, self._transforms
            self._publisher = self._transforms = None
            self.destroy_all(*parts)

    def _on_placed(self, message: Any) -> None:
        now = time.monotonic()
        self._account.ledger.receive(now)
        assert self._sync is not None, "messages come only while active"
        self._lidar_frame = message.header.frame_id
        if not self._sync.add_leader(stamp_of(message), message, now):
            self._account.ledger.drop(DropCause.STALE)
        self._submit_ready()

    def _on_seen(self, message: Any) -> None:
        assert self._sync is not None, "messages come only while active"
        self._sync.add_partner(stamp_of(message), message, time.monotonic())
        self._submit_ready()

    def _on_info(self, message: Any) -> None:
        self._info = message

    def _on_cloud(self, message: Any) -> None:
        self._lidar_frame = self._lidar_frame or message.header.frame_id
        with self._clouds_lock:
            self._clouds[stamp_of(message)] = message
            while len(self._clouds) > CLOUDS_KEPT:
                self._clouds.popitem(last=False)

    def _submit_ready(self) -> None:
        if self._sync is None or self._worker is None:
            return
        now = time.monotonic()
        for pair in self._sync.ready(now):
            self._worker.submit("", Frame(pair, now, None))
        for pair in self._sync.without_leader(self._settings.values.lidar_timeout, now):
            self._account.ledger.receive(now)
            self._worker.submit("", Frame(pair, now, None))

    def _decode(self, pair: Matched) -> _Moment:
        if pair.message is not None:
            ids = [detection.id for detection in pair.message.detections]
            return _Moment(pair, from_detection_3d_array(pair.message), ids, pair.message.header)
        # The lidar's detector is silent: where its frame is known, its points may still tell ranges.
        assert pair.partner is not None, "one of the two there is"
        frame = self._lidar_frame or pair.partner.header.frame_id
        return _Moment(pair, Detections3D.empty(), [], Header(stamp=pair.partner.header.stamp, frame_id=frame))

    def _detect(self, moments: Sequence[_Moment]) -> _Batch:
        started = time.perf_counter()
        fused = [self._fuse(moment) for moment in moments]
        return _Batch(fused, {"fuse": time.perf_counter() - started})

    def _fuse(self, moment: _Moment) -> _Fused:
        info, values = self._info, self._settings.values
        pair, placed, header = moment.pair, moment.placed, moment.header
        cloud = self._cloud(pair)
        if pair.partner is None:
            return _Fused(placed, moment.ids)
        try:
            if info is None:
                raise CalibrationError("no camera_info has come: is it published beside the image?")
            if pair.message is None and not self._lidar_frame:
                raise TransformError("nothing of the lidar has come yet: neither detections_3d nor points")
            view = View(_camera(info, values.rectified), self._way(header, pair.partner, info))
            points = self._points(cloud, header)
            seen = from_detection_array(pair.partner)
        # Half an answer is better than none; what is missing is said, once and in /diagnostics.
        except RobotAIError as error:
            return _Fused(placed, moment.ids, error)
        self._last = fuse(seen, placed, points, view, values.settings)
        ids = [moment.ids[index] if index >= 0 else "" for index in self._last.placed.tolist()]
        return _Fused(self._last.detections, ids)

    def _way(self, header: Header, seen: Any, info: Any) -> RigidTransform:
        """From the frame and stamp of the answer into the camera's at the image's."""
        assert self._transforms is not None
        values = self._settings.values
        lidar, camera = header.frame_id.lstrip("/"), (info.header.frame_id or seen.header.frame_id).lstrip("/")
        at_lidar, at_camera = nanoseconds_of(header.stamp), stamp_of(seen)
        if not values.fixed_frame:
            return self._transforms.lookup(camera, lidar, at_camera, values.tf_timeout)
        fixed = values.fixed_frame.lstrip("/")
        into = self._transforms.lookup(camera, fixed, at_camera, values.tf_timeout)
        return into @ self._transforms.lookup(fixed, lidar, at_lidar, values.tf_timeout)

    def _cloud(self, pair: Matched) -> PointCloud2 | None:
        """The cloud that the detections were made from, or, without any, the one nearest to the image."""
        with self._clouds_lock:
            if pair.message is not None:
                return self._clouds.get(stamp_of(pair.message))
            wanted, slop = stamp_of(pair.partner), self._settings.values.slop * 1e9
            nearest = min(self._clouds, key=lambda stamp: abs(stamp - wanted), default=None)
            return None if nearest is None or abs(nearest - wanted) > slop else self._clouds[nearest]

    def _points(self, cloud: PointCloud2 | None, header: Header) -> NDArray[np.float32]:
        """The cloud's points in the frame of the answer; none when there is no cloud, or a broken one."""
        if cloud is None:
            return np.empty((0, 3), np.float32)
        try:
            points = xyz_of(cloud_view(to_raw_cloud(cloud), MAX_POINTS))
        except CloudError as error:
            self.get_logger().warning(f"cloud not used: {error}", throttle_duration_sec=10.0)
            return np.empty((0, 3), np.float32)
        frame = header.frame_id.lstrip("/")
        if _frame(cloud) == frame:
            return points
        assert self._transforms is not None
        timeout = self._settings.values.tf_timeout
        way = self._transforms.lookup(frame, _frame(cloud), stamp_of(cloud), timeout)
        return way.apply(points).astype(np.float32)

    def _publish(self, source: str, pair: Matched, moment: _Moment, fused: _Fused) -> None:
        assert self._publisher is not None, "the worker runs only while there is a publisher"
        self._publisher.publish(to_detection_3d_array(fused.detections, moment.header, fused.ids))
        self._is_unled = pair.message is None
        if pair.partner is None:
            return
        # Its numbers change from moment to moment; what kind of thing is missing is said once.
        if fused.problem and type(fused.problem) is not type(self._problem):
            self.get_logger().error(f"the camera's detections are left out: {fused.problem}")
        elif self._problem and not fused.problem:
            self.get_logger().info("the camera's detections are used now")
        self._problem = fused.problem

    def _complain(self, source: str, cause: DropCause, error: Exception) -> None:
        level = self.get_logger().warning if isinstance(error, RobotAIError) else self.get_logger().error
        level(f"detections dropped ({cause.value}): {error}", throttle_duration_sec=5.0)

    def _check_subscriptions(self) -> None:
        for subscription in self._inputs.values():
            subscription.check()

    def _statuses(self) -> list[Status]:
        status = Status(f"{self.get_fully_qualified_name().lstrip('/')}: fusion", "fusion")
        status.values["state"] = self.state_label
        add_frames(status, self._account.ledger.snapshot(time.monotonic()), None)
        add_latencies(status, self._account.latencies.percentiles())
        if self._sync is not None:
            status.values |= {
                "paired": str(self._sync.paired),
                "without a partner in time": str(self._sync.missed),
                "2D detections unused": str(self._sync.unused),
                "while detections_3d was silent": str(self._sync.unled),
            }
        if self._last is not None:
            status.values |= {
                "newest: by both": str(self._last.both),
                "newest: camera only": str(self._last.camera_only),
                "newest: lidar only": str(self._last.lidar_only),
                "newest: without a range": str(self._last.unplaced),
            }
        if self.last_error:
            status.find(ERROR, self.last_error)
        elif self._worker is None:
            status.find(WARN if self._settings.values.autostart else OK, f"not active: {self.state_label}")
        elif self._is_unled:
            status.find(WARN, "detections_3d is silent: the camera's detections go out alone")
        elif self._problem:
            status.find(ERROR, f"the camera's detections are left out: {self._problem}")
        statuses = [status]
        for topic, subscription in self._inputs.items():
            part = Status(f"{self.get_fully_qualified_name().lstrip('/')}: {topic}", topic)
            add_subscription(part, subscription.topic, subscription.state)
            statuses.append(part)
        return statuses


def _frame(message: Any) -> str:
    return str(message.header.frame_id).lstrip("/")


def _camera(info: Any, rectified: bool) -> CameraModel:
    size = (info.width, info.height)
    if rectified:
        camera = CameraModel.rectified(size, list(info.p))
    else:
        camera = CameraModel.raw(size, list(info.k), list(info.d), info.distortion_model)
    roi = info.roi
    return camera.cut((roi.x_offset, roi.y_offset, roi.width, roi.height), (info.binning_x, info.binning_y))


def main(args: list[str] | None = None) -> int:
    """Runs the node."""
    return run(DetectionFusion, args)


if __name__ == "__main__":
    raise SystemExit(main())
