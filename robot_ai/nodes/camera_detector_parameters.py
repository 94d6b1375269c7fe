"""The parameters of camera_detector. docs/parameters.md is generated from here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from robot_ai.backends.errors import BackendOptionError
from robot_ai.backends.loading import BackendChoice, parse_options
from robot_ai.models.artifacts import PRECISIONS
from robot_ai.perception.encodings import MAX_PIXELS
from robot_ai.pipeline.image_detector import DetectionSettings
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import parameter

_CAMERA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


@dataclass(frozen=True)
class CameraDetectorParameters:
    """A consistent set of values; a frame is processed with one set from beginning to end."""

    backend: str = parameter(
        "pytorch", "what runs the model: a backend, or backend/variant such as litert/int8", swaps=True
    )
    model: str = parameter("nanodet_g", "model card: a directory with a model.yaml, or a name in models/", swaps=True)
    device: str = parameter("auto", "auto (a GPU where there is one), cpu or cuda:N", swaps=True)
    precision: str = parameter(
        "auto", "precision of the forward pass; auto: the artifact's own", choices=("auto", *PRECISIONS), swaps=True
    )
    threads: int = parameter(
        0, "CPU threads of a forward pass; 0: the framework's default", minimum=0, maximum=256, swaps=True
    )
    backend_options: tuple[str, ...] = parameter(
        (), "key=value options of the backend, such as compile=true; docs/backends.md lists them", swaps=True
    )
    fallback_backends: tuple[str, ...] = parameter(
        (), "backends that take over, in this order, when the chosen one fails; it is tried again after a back-off"
    )
    max_consecutive_failures: int = parameter(
        5,
        "failed forward passes in a row after which the next of fallback_backends is loaded",
        minimum=1,
        maximum=10_000,
    )
    inference_timeout: float = parameter(
        30.0,
        "seconds after which a forward pass that does not return is abandoned in its thread; 0: never",
        minimum=0.0,
        maximum=3600.0,
        while_running=True,
    )
    fallback_retry_after: float = parameter(
        30.0,
        "seconds on a fallback before the chosen backend is tried again; doubles with each failed attempt",
        minimum=0.1,
        maximum=86400.0,
    )
    cameras: tuple[str, ...] = parameter(
        (), "camera namespaces served by one batched model, front giving front/image; empty: one camera, on image"
    )
    image_transport: str = parameter(
        "raw", "raw (image) or compressed (image/compressed, JPEG or PNG)", choices=("raw", "compressed")
    )
    confidence_threshold: float = parameter(
        -1.0, "lowest score published; -1: the model card's", minimum=-1.0, maximum=1.0, while_running=True
    )
    iou_threshold: float = parameter(
        -1.0,
        "overlap above which the weaker of two boxes of a class is dropped; -1: the model card's",
        minimum=-1.0,
        maximum=1.0,
        while_running=True,
    )
    max_detections: int = parameter(
        0, "most detections per image; 0: the model card's", minimum=0, maximum=10_000, while_running=True
    )
    class_filter: tuple[str, ...] = parameter((), "labels that are published; empty: all", while_running=True)
    max_rate: float = parameter(
        0.0, "most frames per second and camera, in Hz; 0: no limit", minimum=0.0, maximum=1000.0, while_running=True
    )
    max_image_pixels: int = parameter(
        MAX_PIXELS, "larger images are dropped as malformed", minimum=1, maximum=1_000_000_000, while_running=True
    )
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", read_only=True)

    @property
    def choice(self) -> BackendChoice:
        """The part that decides what is loaded."""
        return BackendChoice(self.model, self.backend, self.device, self.precision, self.threads, self.backend_options)

    @property
    def settings(self) -> DetectionSettings:
        """The part that the detector takes with every batch."""
        return DetectionSettings(
            confidence=self.confidence_threshold if self.confidence_threshold >= 0 else None,
            iou=self.iou_threshold if self.iou_threshold >= 0 else None,
            max_detections=self.max_detections or None,
            class_filter=self.class_filter,
        )

    def check(self) -> None:
        """Raises ParameterError for values that no range can express."""
        if not _DEVICE.fullmatch(self.device):
            raise ParameterError(f"device is '{self.device}'; expected auto, cpu or cuda:N")
        try:
            parse_options(self.backend_options)
        except BackendOptionError as error:
            raise ParameterError(str(error)) from error
        for camera in self.cameras:
            if not _CAMERA_NAME.fullmatch(camera):
                raise ParameterError(f"cameras holds '{camera}'; expected a relative ROS namespace such as front")
        if len(set(self.cameras)) != len(self.cameras):
            raise ParameterError(f"cameras names one twice: {', '.join(self.cameras)}")
