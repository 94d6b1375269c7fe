"""`robot_ai record`: topics into a rosbag2 directory with MCAP storage, as `ros2 bag record` does, without rosbag2."""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path
from types import FrameType

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from robot_ai.bags.files import BagWriter
from robot_ai.ros.bag_topics import TopicRecorder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("output", type=Path, help="the new directory")
    parser.add_argument("--topics", nargs="+", default=[], help="names or regular expressions (all topics)")
    parser.add_argument("--duration", type=float, default=0.0, help="seconds; 0: until Ctrl-C (0)")


def run(args: argparse.Namespace) -> int:
    """Records until time is up or a signal comes; 0 when something was recorded."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    node = Node("recorder")
    try:
        with BagWriter(args.output) as writer:
            TopicRecorder(node, writer, args.topics)
            began = time.monotonic()
            while not stopped and (not args.duration or time.monotonic() - began < args.duration):
                rclpy.spin_once(node, timeout_sec=0.1)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    for name, count in sorted(writer.counts.items()):
        print(f"  {name:<40}{count:>8}")
    print(f"{sum(writer.counts.values())} messages in {args.output.resolve()}")
    return 0 if any(writer.counts.values()) else 1
