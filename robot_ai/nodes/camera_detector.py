"""camera_detector: images in, Detection2DArray out, over any backend."""

from __future__ import annotations

from typing import Any

import cv2
from std_srvs.srv import SetBool

from robot_ai.backends.openmp import let_threads_sleep
from robot_ai.nodes.camera_detector_parameters import CameraDetectorParameters
from robot_ai.pipeline.image_detector import ImageDetector
from robot_ai.pipeline.ledger import DropCause
from robot_ai.pipeline.worker import FrameWorker, Stages
from robot_ai.ros.camera_port import CameraPort
from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status
from robot_ai.ros.errors import WorkerStuckError
from robot_ai.ros.images import image_to_bgr
from robot_ai.ros.lifecycle import SafeLifecycleNode, run
from robot_ai.ros.model_swap import ModelLoader, ModelSwap, check_artifact
from robot_ai.ros.parameters import NodeParameters

QOS_CHECK_PERIOD = 0.25
# Deactivation waits this long, in seconds, for the forward pass under way.
STOP_TIMEOUT = 10.0
_LOADER = ModelLoader(ImageDetector.load, check_artifact, lambda values: (values.settings,))


class CameraDetector(SafeLifecycleNode):
    """One model for one or several cameras. Topics, services and parameters: docs/camera_detector.md."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("camera_detector", **kwargs)
        self._worker: FrameWorker[Any, Any] | None = None
        self._ports: dict[str, CameraPort] = {}
        self._enabled = True
        self._version = 0
        self._model = ModelSwap(self, _LOADER, lambda: self._settings, self._on_switched, lambda: self._worker)
        self._settings = NodeParameters(
            self,
            CameraDetectorParameters,
            is_configured=lambda: self.is_configured,
            validate=self._validate,
            accept=self._accept,
            changed=self._on_changed,
        )
        self.report(self._statuses)
        self.create_timer(QOS_CHECK_PERIOD, self._check_ports, clock=self.steady)
        self.create_service(SetBool, "~/enable", self._on_enable)

    def configure(self) -> None:
        """Loads and warms up the model, creates the publishers."""
        values = self._settings.values
        if values.threads:
            cv2.setNumThreads(values.threads)
        detector = self._model.load(values)
        detector.check(values.settings)
        for camera in values.cameras or ("",):
            self._ports[camera] = CameraPort(self, camera, values.image_transport)
        self._version += 1
        self.get_logger().info(
            f"{detector.card.name} loaded in {values.backend} on {detector.device} for "
            f"{', '.join(values.cameras) or 'one camera'}"
        )

    def activate(self) -> None:
        """Announces the model, starts the worker and listens."""
        stages = Stages(self._decode, self._model.detect, self._publish)
        accounts = {camera: port.account for camera, port in self._ports.items()}
        self._worker = FrameWorker(accounts, stages, self._complain)
        self._worker.start()
        self._announce()
        for port in self._ports.values():
            port.subscribe(self._worker.submit, self._gate)

    def deactivate(self) -> None:
        """Stops listening and lets the batch under way end; the model stays loaded."""
        for port in self._ports.values():
            port.unsubscribe()
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(STOP_TIMEOUT):
            # The native call cannot be ended from outside: its thread keeps the model, which must not be closed.
            self._model.release(keep=True)
            raise WorkerStuckError(
                f"a forward pass did not end within {STOP_TIMEOUT:.0f} s; its thread is abandoned. Configure again"
            )

    def release(self) -> None:
        """Frees model and topics."""
        try:
            self.deactivate()
        finally:
            ports = [*self._ports.values()]
            self._ports.clear()
            self.destroy_all(*ports)
            self._model.release()

    def _validate(self, values: CameraDetectorParameters) -> None:
        values.check()

    def _accept(self, values: CameraDetectorParameters) -> None:
        self._model.accept(values)
        detector = self._model.serving(values)
        if detector is not None:
            detector.check(values.settings)

    def _on_changed(self) -> None:
        self._model.commit(self._settings.values)
        self._announce()

    def _on_switched(self) -> None:
        self._version += 1
        self._announce()

    def _gate(self) -> tuple[bool, float]:
        return self._enabled, self._settings.values.max_rate

    def _decode(self, message: Any) -> Any:
        return image_to_bgr(message, self._settings.values.max_image_pixels)

    def _publish(self, camera: str, message: Any, image: Any, detections: Any) -> None:
        self._ports[camera].publish(message, image, detections, self._settings.values.tracking)

    def _complain(self, camera: str, cause: DropCause, error: Exception) -> None:
        text = f"frame{f' of {camera}' if camera else ''} dropped ({cause.value}): {error}"
        if cause is DropCause.MALFORMED:
            self.get_logger().warning(text, throttle_duration_sec=5.0)
        else:
            self.get_logger().error(text, throttle_duration_sec=5.0)

    def _announce(self) -> None:
        detector = self._model.detector
        if detector is None or self._worker is None:
            return
        card = detector.card
        confidence = self._settings.values.settings.confidence
        threshold = card.thresholds.confidence if confidence is None else confidence
        for port in self._ports.values():
            port.announce(card, detector.backend_name, threshold, self._version)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = request.data
        response.success = True
        response.message = "detection is on" if self._enabled else "detection is off: frames are counted as disabled"
        self.get_logger().info(response.message)
        return response

    def _check_ports(self) -> None:
        for port in self._ports.values():
            port.check()

    def _statuses(self) -> list[Status]:
        name = self.get_fully_qualified_name().lstrip("/")
        statuses = [self._describe_model(name), self._model.describe()]
        for camera, port in self._ports.items():
            status = Status(f"{name}: {camera or 'camera'}", camera)
            port.describe(status)
            statuses.append(status)
        return statuses

    def _describe_model(self, name: str) -> Status:
        values = self._settings.values
        detector = self._model.detector
        status = Status(f"{name}: model", values.model)
        status.values = {
            "state": self.state_label,
            "backend": detector.backend_name if detector else values.backend,
            "model": values.model,
            "device": detector.device if detector else values.device,
            "precision": values.precision,
            "abandoned threads": str(self._model.abandoned),
            "enabled": str(self._enabled).lower(),
        }
        if self.last_error:
            status.find(ERROR, self.last_error)
        elif self._worker is None:
            status.find(WARN if values.autostart else OK, f"not active: {self.state_label}")
        elif not self._enabled:
            status.find(WARN, "switched off by the enable service")
        return status


def main(args: list[str] | None = None) -> int:
    """Runs the node."""
    let_threads_sleep()
    return run(CameraDetector, args)


if __name__ == "__main__":
    raise SystemExit(main())
