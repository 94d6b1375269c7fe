"""A lidar in a process of its own: simulated clouds of 64 x 1024 points, stamped when they are published."""

from __future__ import annotations

import argparse
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from robot_ai.ros.clouds import to_cloud
from robot_ai.training.lidar_scenes import BEAMS, cast, random_scene

# The detector may replace its subscription a quarter of a second after it has found us.
SETTLE = 1.0
LINGER = 0.5
SCENES = 8


def main() -> None:
    """Waits for a listener, publishes, lets the last clouds arrive, ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=10.0)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--namespace", default="/")
    arguments = parser.parse_args()
    rclpy.init()
    node = Node("bench_lidar", namespace=arguments.namespace)
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    publisher = node.create_publisher(PointCloud2, "points", qos)
    clouds = []
    for seed in range(SCENES):
        rng = np.random.default_rng(seed)
        clouds.append(to_cloud(cast(random_scene(rng), BEAMS[64], rng).points, Header(frame_id="lidar"), rows=64))
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(SETTLE)
    due = time.monotonic()
    for number in range(arguments.frames):
        message = clouds[number % SCENES]
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        due = max(due + 1 / arguments.rate, time.monotonic() - 0.1)
        time.sleep(max(0.0, due - time.monotonic()))
    time.sleep(LINGER)
    node.destroy_node()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
