"""lidar_detector: clouds or scans in, Detection3DArray out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sensor_msgs.msg import LaserScan
from std_srvs.srv import SetBool

from robot_ai.backends.openmp import let_threads_sleep
from robot_ai.geometry.errors import TransformError
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.lidar.clouds import Points, cloud_view, xyz_and_kept
from robot_ai.lidar.deskew import TIME_FIELDS, deskew, point_times
from robot_ai.lidar.errors import PointTimesError
from robot_ai.lidar.scans import scan_points
from robot_ai.nodes.lidar_detector_parameters import LidarDetectorParameters
from robot_ai.pipeline.cloud_detector import (
    CloudDetector,
    CloudModel,
    Sweep,
    SweepDetections,
    SweepResult,
    check_cloud_model,
    load_cloud_model,
)
from robot_ai.pipeline.ledger import DropCause
from robot_ai.pipeline.worker import FrameWorker, Stages
from robot_ai.ros.clouds import to_raw_cloud, to_raw_scan
from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status
from robot_ai.ros.errors import WorkerStuckError
from robot_ai.ros.lidar_port import LidarPort
from robot_ai.ros.lifecycle import SafeLifecycleNode, run
from robot_ai.ros.model_swap import ModelLoader, ModelSwap
from robot_ai.ros.motion_port import MotionPort
from robot_ai.ros.parameters import NodeParameters
from robot_ai.ros.stamps import stamp_of
from robot_ai.ros.transforms import TransformSource, open_transforms

QOS_CHECK_PERIOD = 0.25
# Deactivation waits this long, in seconds, for the cloud under way.
STOP_TIMEOUT = 10.0
# A twist counts for a cloud whose stamp is this near, in seconds.
MOTION_WITHIN = 0.25
_LOADER: ModelLoader[CloudModel] = ModelLoader(load_cloud_model, check_cloud_model)


class LidarDetector(SafeLifecycleNode):
    """One lidar. Topics, services and parameters: docs/lidar.md."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("lidar_detector", **kwargs)
        self._detector: CloudDetector | None = None
        self._model = ModelSwap(self, _LOADER, lambda: self._settings, self._announce, lambda: self._worker)
        self._worker: FrameWorker[Sweep, SweepDetections] | None = None
        self._port: LidarPort | None = None
        self._transforms: TransformSource | None = None
        self._motion: MotionPort | None = None
        self._not_deskewed = 0
        self._enabled = True
        self._settings = NodeParameters(
            self,
            LidarDetectorParameters,
            is_configured=lambda: self.is_configured,
            validate=LidarDetectorParameters.check,
            accept=self._model.accept,
            changed=self._on_changed,
        )
        self.report(self._statuses)
        self.create_timer(QOS_CHECK_PERIOD, self._check_port, clock=self.steady)
        self.create_service(SetBool, "~/enable", self._on_enable)

    def configure(self) -> None:
        """Loads and warms up the model, if the method has one, creates the publishers, begins to listen to tf."""
        values = self._settings.values
        model = self._model.load(values)
        self._detector = CloudDetector(self._lookup, self._model.detect)
        self._transforms = open_transforms(self)
        self._port = LidarPort(self, values.input)
        self._motion = MotionPort(self, values.deskew) if values.deskew != "none" else None
        self.get_logger().info(f"method {values.method} on {values.input}: {model.title}")

    def activate(self) -> None:
        """Announces the labels, starts the worker and listens."""
        assert self._port is not None, "activate follows configure"
        self._worker = FrameWorker(
            {"": self._port.account}, Stages(self._decode, self._detect, self._publish), self._complain
        )
        self._worker.start()
        self._announce()
        self._port.subscribe(self._worker.submit, self._gate)

    def deactivate(self) -> None:
        """Stops listening, lets the cloud under way end and takes its boxes out of the pictures."""
        if self._port is not None:
            self._port.unsubscribe()
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(STOP_TIMEOUT):
            # The native call cannot be ended from outside: its thread keeps the model, which must not be closed.
            self._model.release(keep=True)
            raise WorkerStuckError(f"a cloud was not done within {STOP_TIMEOUT:.0f} s; its thread is abandoned")
        if self._port is not None:
            self._port.clear()

    def release(self) -> None:
        """Frees model and topics."""
        try:
            self.deactivate()
        finally:
            parts = self._port, self._motion, self._transforms
            self._port = self._motion = self._transforms = self._detector = None
            self.destroy_all(*parts)
            self._model.release()

    def _gate(self) -> tuple[bool, float]:
        return self._enabled, self._settings.values.max_rate

    def _lookup(self, target: str, source: str, stamp: int) -> RigidTransform:
        assert self._transforms is not None, "the worker runs only while tf is listened to"
        return self._transforms.lookup(target, source, stamp, self._settings.values.tf_timeout)

    def _decode(self, message: Any) -> Sweep:
        frame = message.header.frame_id.lstrip("/")
        stamp = stamp_of(message)
        if isinstance(message, LaserScan):
            return Sweep(scan_points(to_raw_scan(message)), frame, stamp)
        view = cloud_view(to_raw_cloud(message), self._settings.values.max_cloud_points)
        points, kept = xyz_and_kept(view)
        return Sweep(self._deskewed(points, kept, view, frame, stamp), frame, stamp)

    def _deskewed(self, points: Points, kept: Any, view: Any, frame: str, stamp: int) -> Points:
        """The points as if measured at the stamp, where that is asked for and possible; what prevents it is counted."""
        if self._motion is None:
            return points
        try:
            times = point_times(view, stamp)
            motion = self._motion.at(stamp, MOTION_WITHIN)
            if times is None or motion is None:
                missing = f"field {', '.join(TIME_FIELDS)}" if times is None else f"motion within {MOTION_WITHIN} s"
                raise PointTimesError(f"there is no {missing} of the cloud")
            twist, moving = motion
            if moving and moving != frame:
                twist = twist.seen_from(self._lookup(frame, moving, stamp))
        except (PointTimesError, TransformError) as error:
            self._not_deskewed += 1
            self.get_logger().warning(f"cloud not deskewed: {error}", throttle_duration_sec=10.0)
            return points
        return deskew(points, times[kept], twist)

    def _on_changed(self) -> None:
        self._model.commit(self._settings.values)
        self._announce()

    def _detect(self, sweeps: Sequence[Sweep]) -> SweepResult:
        assert self._detector is not None, "the worker runs only while there is a detector"
        return self._detector.detect(sweeps, self._settings.values.settings)

    def _publish(self, source: str, message: Any, sweep: Sweep, found: SweepDetections) -> None:
        assert self._port is not None, "the worker runs only while there are publishers"
        # What was detected in the cloud's own frame keeps that frame's name as it was written.
        frame = message.header.frame_id if found.frame == sweep.frame else found.frame
        if found.tracks is None:
            self._port.publish(message.header, frame, found.detections)
        else:
            self._port.publish(message.header, frame, found.detections, found.tracks.ids, found.tracks.velocities)

    def _complain(self, source: str, cause: DropCause, error: Exception) -> None:
        text = f"cloud dropped ({cause.value}): {error}"
        if cause is DropCause.FAILED:
            self.get_logger().error(text, throttle_duration_sec=5.0)
        else:
            self.get_logger().warning(text, throttle_duration_sec=5.0)

    def _announce(self) -> None:
        model = self._model.detector
        if self._port is not None and self._detector is not None and model is not None:
            asked = self._settings.values.score_threshold
            self._port.announce(self._detector.labels, asked if asked >= 0 else model.default_score)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        response.success = True
        response.message = "detection is on" if self._enabled else "detection is off: clouds are counted as disabled"
        self.get_logger().info(response.message)
        return response

    def _check_port(self) -> None:
        for port in (self._port, self._motion):
            if port is not None:
                port.check()

    def _statuses(self) -> list[Status]:
        name = self.get_fully_qualified_name().lstrip("/")
        values = self._settings.values
        model = self._model.detector
        statuses = [Status(f"{name}: detector", values.method), self._model.describe()]
        statuses[0].values = {
            "state": self.state_label,
            "method": values.method,
            "serving": model.title if model is not None else "none",
            "abandoned threads": str(self._model.abandoned),
            "target frame": values.target_frame or "the cloud's own",
            "enabled": str(self._enabled).lower(),
        }
        if self.last_error:
            statuses[0].find(ERROR, self.last_error)
        elif self._worker is None:
            statuses[0].find(WARN if values.autostart else OK, f"not active: {self.state_label}")
        elif not self._enabled:
            statuses[0].find(WARN, "switched off by the enable service")
        if self._port is not None:
            statuses.append(Status(f"{name}: lidar", values.input))
            self._port.describe(statuses[-1])
        if self._motion is not None:
            statuses.append(Status(f"{name}: motion", values.deskew))
            statuses[-1].values["clouds not deskewed"] = str(self._not_deskewed)
            self._motion.describe(statuses[-1])
        return statuses


def main(args: list[str] | None = None) -> int:
    """Runs the node."""
    let_threads_sleep()
    return run(LidarDetector, args)


if __name__ == "__main__":
    raise SystemExit(main())
