"""The parameters of camera_detector. docs/parameters.md is generated from here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from robot_ai.nodes.model_parameters import ModelParameters
from robot_ai.perception.encodings import MAX_PIXELS
from robot_ai.pipeline.image_detector import DetectionSettings
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import parameter

_CAMERA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")


@dataclass(frozen=True)
class CameraDetectorParameters(ModelParameters):
    """A consistent set of values; a frame is processed with one set from beginning to end."""

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
    tracking: bool = parameter(
        False, "number objects from image to image; the number is each detection's id", while_running=True
    )
    max_rate: float = parameter(
        0.0, "most frames per second and camera, in Hz; 0: no limit", minimum=0.0, maximum=1000.0, while_running=True
    )
    max_image_pixels: int = parameter(
        MAX_PIXELS, "larger images are dropped as malformed", minimum=1, maximum=1_000_000_000, while_running=True
    )
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", read_only=True)

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
        super().check()
        for camera in self.cameras:
            if not _CAMERA_NAME.fullmatch(camera):
                raise ParameterError(f"cameras holds '{camera}'; expected a relative ROS namespace such as front")
        if len(set(self.cameras)) != len(self.cameras):
            raise ParameterError(f"cameras names one twice: {', '.join(self.cameras)}")
