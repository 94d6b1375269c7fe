"""What a camera and a lidar of the benchmarks share: messages at a fixed rate, stamped when they are published."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions

# The detector may replace its subscription a quarter of a second after it has found us.
SETTLE = 1.0
# The last message may be repeated to a reliable listener.
LINGER = 0.5


def source_arguments(rate: float) -> argparse.ArgumentParser:
    """The arguments that `publish` reads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=rate)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--reliability", default="reliable")
    parser.add_argument("--namespace", default="/")
    return parser


def publish(topic: str, messages: Sequence[Any], arguments: argparse.Namespace) -> None:
    """Waits for a listener, publishes the messages in turn, lets the last ones arrive, ends. SIGTERM ends it."""
    # rclpy's own handler would end the context under a message that is being published.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node("bench_source", namespace=arguments.namespace)
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy[arguments.reliability.upper()])
    publisher = node.create_publisher(type(messages[0]), topic, qos)
    while not publisher.get_subscription_count():
        time.sleep(0.05)
    time.sleep(SETTLE)
    due = time.monotonic()
    for message in islice(cycle(messages), arguments.frames):
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
        due = max(due + 1 / arguments.rate, time.monotonic() - 0.1)
        time.sleep(max(0.0, due - time.monotonic()))
    time.sleep(LINGER)
    node.destroy_node()
    rclpy.try_shutdown()
