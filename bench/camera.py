"""A camera in a process of its own: frames of one size at a fixed rate, stamped when they are published."""

from __future__ import annotations

import argparse
import signal
import sys
import time

import cv2
import rclpy
import skimage.data
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from robot_ai.ros.images import bgr_to_image

# The detector may replace its subscription a quarter of a second after it has found us.
SETTLE = 1.0
# The last frame may be repeated to a reliable listener.
LINGER = 0.5


def main() -> None:
    """Waits for a listener, publishes, lets the last frames arrive, ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--reliability", default="reliable")
    parser.add_argument("--namespace", default="/")
    arguments = parser.parse_args()
    # rclpy's own handler would end the context under a frame that is being published.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node("bench_camera", namespace=arguments.namespace)
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[arguments.reliability.upper()])
    publisher = node.create_publisher(Image, "image", qos)
    photo = skimage.data.astronaut()[:, :, ::-1]
    message = bgr_to_image(cv2.resize(photo, (arguments.width, arguments.height)), Header(frame_id="camera"))
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(SETTLE)
    due = time.monotonic()
    for _ in range(arguments.frames):
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        due = max(due + 1 / arguments.rate, time.monotonic() - 0.1)
        time.sleep(max(0.0, due - time.monotonic()))
    time.sleep(LINGER)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
