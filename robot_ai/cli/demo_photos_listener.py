"""The demo's own node: collects what the detector answers to each photo."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from robot_ai.perception.encodings import MAX_PIXELS
from robot_ai.ros.images import image_to_bgr

Stamp = tuple[int, int]
# The detector needs a moment to hear of the camera; only what it still reports after this many seconds is a fault.
PATIENCE_REPORTS = 8


@dataclass
class Sighting:
    """What was found in one photo and, drawn by the detector, how that looks."""

    found: list[str] = field(default_factory=list)
    answers: int = 0
    drawn: NDArray[np.uint8] | None = None


class DemoListener(Node):
    """Ties detections, drawn images and file names together by their stamps."""

    def __init__(self, names: list[str]) -> None:
        super().__init__("demo")
        self.sightings = {name: Sighting() for name in names}
        self.diagnostics: dict[str, str] = {}
        self.fault = ""
        self._bad_reports = 0
        self._names: dict[Stamp, str] = {}
        self._detections: dict[Stamp, Detection2DArray] = {}
        self.create_subscription(Header, "image_name", self._on_name, 10)
        self.create_subscription(Detection2DArray, "detections", self._on_detections, 10)
        self.create_subscription(Image, "detections/image", self._on_drawn, 10)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def complete(self, rounds: int) -> bool:
        """Whether every photo was answered so often and drawn."""
        return all(s.answers >= rounds and s.drawn is not None for s in self.sightings.values())

    def _on_name(self, message: Header) -> None:
        self._names[message.stamp.sec, message.stamp.nanosec] = message.frame_id
        self._join(message.stamp.sec, message.stamp.nanosec)

    def _on_detections(self, message: Detection2DArray) -> None:
        stamp = message.header.stamp
        self._detections[stamp.sec, stamp.nanosec] = message
        self._join(stamp.sec, stamp.nanosec)

    def _join(self, *stamp: int) -> None:
        key = (stamp[0], stamp[1])
        if key not in self._names or key not in self._detections:
            return
        sighting = self.sightings.get(self._names[key])
        if sighting is None:
            return
        sighting.answers += 1
        best = [detection.results[0].hypothesis for detection in self._detections.pop(key).detections]
        sighting.found = [f"{hypothesis.class_id} {hypothesis.score:.2f}" for hypothesis in best]

    def _on_drawn(self, message: Image) -> None:
        name = self._names.get((message.header.stamp.sec, message.header.stamp.nanosec))
        if name in self.sightings:
            # A copy: the decoded image is a view of the message.
            self.sightings[name].drawn = image_to_bgr(message, MAX_PIXELS).copy()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        faults = [status.message for status in message.status if status.level >= DiagnosticStatus.ERROR]
        self._bad_reports = self._bad_reports + 1 if faults else 0
        if self._bad_reports >= PATIENCE_REPORTS:
            self.fault = "; ".join(faults)
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            if "frames received" in values:
                self.diagnostics = values
