"""`robot_ai replay`: what was recorded, in time, or in step with what answers it so that no frame can be lost."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions

from robot_ai.bags.errors import BagError
from robot_ai.bags.files import BagReader, Recorded
from robot_ai.ros.bag_topics import TopicPlayer, message_class


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("bag", type=Path, help="directory of a rosbag2 recording")
    parser.add_argument("--topics", nargs="+", default=[], help="which topics (all)")
    parser.add_argument("--rate", type=float, default=1.0, help="times as fast as recorded; 0: as fast as it goes (1)")
    parser.add_argument("--wait-for", type=float, default=10.0, help="seconds for a listener to appear (10)")
    parser.add_argument(
        "--in-step",
        metavar="TOPIC=ANSWERS",
        help="after each message of TOPIC wait for the one of the same stamp on ANSWERS: every frame is answered, and "
        "every replay gives the same; the type of ANSWERS is asked of the graph",
    )
    parser.add_argument("--timeout", type=float, default=30.0, help="longest wait for an answer in step (30)")


def run(args: argparse.Namespace) -> int:
    """Replays once; 0 when something was published."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node("player")
    try:
        with BagReader(args.bag) as reader:
            player = TopicPlayer(node, reader, args.topics)
            step = _Step(node, args) if args.in_step else None
            _wait_for_listeners(node, player, reader, args)
            count = player.play(
                args.rate, lambda seconds: rclpy.spin_once(node, timeout_sec=seconds), step or (lambda _: None)
            )
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    print(f"{count} messages published from {args.bag}")
    return 0 if count else 1


def _wait_for_listeners(node: Node, player: TopicPlayer, reader: BagReader, args: argparse.Namespace) -> None:
    """Until someone hears one of the topics: the first messages would be lost otherwise."""
    names = args.topics or list(reader.topics)
    deadline = time.monotonic() + args.wait_for
    while not any(player.listeners(name) for name in names) and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.05)
    # Listeners of QoS that follows (robot_ai.ros.qos) take a moment more.
    settled = time.monotonic() + min(1.0, args.wait_for)
    while time.monotonic() < settled:
        rclpy.spin_once(node, timeout_sec=0.05)


class _Step:
    """Holds the replay until a message is answered."""

    def __init__(self, node: Node, args: argparse.Namespace) -> None:
        topic, equals, answers = args.in_step.partition("=")
        if not (topic and equals and answers):
            raise BagError(f"--in-step is '{args.in_step}'; expected TOPIC=ANSWERS, such as image=detections")
        self._node = node
        self._topic = node.resolve_topic_name(topic)
        self._answers = node.resolve_topic_name(answers)
        self._timeout = args.timeout
        self._answered: set[tuple[int, int]] = set()
        kind = message_class(self._type_of(args.wait_for))
        node.create_subscription(kind, answers, self._on_answer, QoSProfile(depth=100))

    def __call__(self, message: Recorded) -> None:
        if message.topic.name != self._topic:
            return
        asked = _stamp(deserialize_message(message.cdr, message_class(message.topic.type_name)))
        deadline = time.monotonic() + self._timeout
        while asked not in self._answered:
            rclpy.spin_once(self._node, timeout_sec=0.05)
            if time.monotonic() > deadline:
                raise BagError(
                    f"the message of {self._topic} stamped {asked[0]}.{asked[1]:09d} was not answered on "
                    f"{self._answers} within {self._timeout:g} s; is the detector running?"
                )

    def _type_of(self, patience: float) -> str:
        deadline = time.monotonic() + patience
        while True:
            found = dict(self._node.get_topic_names_and_types()).get(self._answers)
            if found:
                return str(found[0])
            if time.monotonic() > deadline:
                raise BagError(f"nobody publishes on {self._answers}; start the detector before the replay")
            rclpy.spin_once(self._node, timeout_sec=0.05)

    def _on_answer(self, message: Any) -> None:
        self._answered.add(_stamp(message))


def _stamp(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec
