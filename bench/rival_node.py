"""A detector in the way most others are written: one thread, a queue of ten, inference in the callback.

The conversion copies as cv_bridge does; PyPI's cv_bridge itself does not run beside NumPy 2.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from robot_ai.backends.loading import BackendChoice
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector
from robot_ai.ros.detections import to_detection_array


class RivalNode(Node):
    """The same model, another way of working."""

    def __init__(self) -> None:
        super().__init__("camera_detector")
        self._detector = ImageDetector.load(BackendChoice("nanodet_g", "pytorch"))
        self._count = 0
        self.create_subscription(Image, "image", self._on_image, 10)
        self._publisher = self.create_publisher(Detection2DArray, "detections", 10)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self.create_timer(1.0, self._report)

    def _on_image(self, message: Image) -> None:
        self._count += 1
        pixels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3).copy()
        rgb = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
        image = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
        result = self._detector.detect([image], DetectionSettings())
        self._publisher.publish(to_detection_array(result.detections[0], message.header))

    def _report(self) -> None:
        name = self.get_fully_qualified_name().lstrip("/")
        status = DiagnosticStatus(name=name, values=[KeyValue(key="frames received", value=str(self._count))])
        self._diagnostics.publish(DiagnosticArray(status=[status]))


def main() -> None:
    """Runs the node until it is interrupted."""
    rclpy.init(args=sys.argv)
    try:
        rclpy.spin(RivalNode())
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
