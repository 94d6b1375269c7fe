"""The parameters of detection_fusion. docs/parameters.md is generated from here."""

from __future__ import annotations

from dataclasses import dataclass

from robot_ai.fusion.fuse import FusionSettings
from robot_ai.ros.parameter_spec import parameter


@dataclass(frozen=True)
class DetectionFusionParameters:
    """A consistent set of values."""

    slop: float = parameter(
        0.06, "furthest apart, in seconds, that stamps of one moment may be", minimum=0.0, maximum=1.0
    )
    timeout: float = parameter(
        0.15, "longest wait, in seconds, for the camera's detections of a moment", minimum=0.0, maximum=5.0
    )
    lidar_timeout: float = parameter(
        1.0, "seconds of silence of detections_3d after which the camera's detections go out alone; 0: never",
        minimum=0.0, maximum=60.0, while_running=True,
    )  # fmt: skip
    tf_timeout: float = parameter(
        0.1, "longest wait, in seconds, for transforms", minimum=0.0, maximum=5.0, while_running=True
    )
    fixed_frame: str = parameter(
        "", "a frame that stands still, such as odom: what moves between the two stamps is then corrected; empty: not",
        while_running=True,
    )  # fmt: skip
    rectified: bool = parameter(False, "the image was rectified: P is used, and no distortion", while_running=True)
    iou_threshold: float = parameter(
        0.2,
        "least overlap of a box in the image with a projected one, by area or by points in both",
        minimum=0.01,
        maximum=1.0,
        while_running=True,
    )
    camera_only: bool = parameter(True, "publish what only the camera sees, with a range", while_running=True)
    lidar_only: bool = parameter(True, "publish what only the lidar sees", while_running=True)
    autostart: bool = parameter(True, "configure and activate at start, without a lifecycle manager", read_only=True)

    @property
    def settings(self) -> FusionSettings:
        """The part that fusion takes with every pair."""
        return FusionSettings(self.iou_threshold, self.camera_only, self.lidar_only)

    def check(self) -> None:
        """Every combination is possible."""
