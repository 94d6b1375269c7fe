"""Topics of the graph into a recording, and back."""

from __future__ import annotations

import importlib
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from robot_ai.bags.errors import BagError, MessageDefinitionError
from robot_ai.bags.files import BagReader, BagWriter, Recorded, Topic

# A recorder's queue bridges the moments in which the disk is busy.
_DEPTH = 200
_DISCOVERY_PERIOD = 0.25
_LAST_WORDS = 2.0
# Of every node, about itself: not what a robot saw.
_LEFT_OUT = ("/parameter_events", "/rosout")


class TopicRecorder:
    """Records every topic that a pattern fits (none: all) as its publishers appear. Messages stay serialized."""

    def __init__(self, node: Node, writer: BagWriter, patterns: Sequence[str]) -> None:
        self._node = node
        self._writer = writer
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._topics: dict[str, Topic | None] = {}
        self._look()
        node.create_timer(_DISCOVERY_PERIOD, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _wanted(self, name: str) -> bool:
        if not self._patterns:
            return name not in _LEFT_OUT
        return any(pattern.fullmatch(name) or pattern.fullmatch(name.lstrip("/")) for pattern in self._patterns)

    def _look(self) -> None:
        for name, kinds in self._node.get_topic_names_and_types():
            if name not in self._topics and self._wanted(name) and self._node.count_publishers(name):
                self._subscribe(name, kinds)

    def _subscribe(self, name: str, kinds: Sequence[str]) -> None:
        self._topics[name] = None
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(name)]
        latched = all(offer.durability is DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        reliable = all(offer.reliability is ReliabilityPolicy.RELIABLE for offer in offers)
        topic = Topic(name, kinds[0], latched, reliable)
        try:
            kind = message_class(topic.type_name)
            self._writer.add_topic(topic)
        except (BagError, MessageDefinitionError) as error:
            self._node.get_logger().error(f"{name} is not recorded: {error}")
            return
        self._topics[name] = topic

        def write(raw: bytes) -> None:
            self._writer.write(Recorded(topic, time.time_ns(), bytes(raw)))

        self._node.create_subscription(kind, name, write, _qos(topic, _DEPTH), raw=True)
        self._node.get_logger().info(f"recording {name} ({topic.type_name})")


class TopicPlayer:
    """Publishes the messages of a recording."""

    def __init__(self, node: Node, reader: BagReader, topics: Sequence[str] = ()) -> None:
        chosen = [topic for topic in reader.topics.values() if not topics or topic.name in topics]
        missing = sorted(set(topics) - {topic.name for topic in chosen})
        if missing:
            raise BagError(f"nothing was recorded of {', '.join(missing)}; there is {', '.join(sorted(reader.topics))}")
        self._reader = reader
        self._names = [topic.name for topic in chosen]
        self._publishers: dict[str, Publisher] = {
            topic.name: node.create_publisher(message_class(topic.type_name), topic.name, _qos(topic, 10))
            for topic in chosen
        }

    def listeners(self, name: str) -> int:
        """How many listen to a topic."""
        return int(self._publishers[name].get_subscription_count())

    def play(self, rate: float, spin: Callable[[float], None], sent: Callable[[Recorded], None]) -> int:
        """Publishes all, `rate` times as fast as they came (0: as fast as `sent` returns); how many that were.

        `spin(seconds)` waits while it serves the node; `sent` is called after each message.
        """
        began, first, count = time.monotonic(), None, 0
        for message in self._reader.messages(self._names):
            first = message.time if first is None else first
            while rate and (left := (message.time - first) / 1e9 / rate - (time.monotonic() - began)) > 0:
                spin(left)
            self._publishers[message.topic.name].publish(message.cdr)
            count += 1
            sent(message)
        # The end of the process would take with it what reliable listeners have not confirmed.
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=_LAST_WORDS))
        return count


def message_class(type_name: str) -> Any:
    """The class of "std_msgs/msg/Bool". Raises BagError when it is not installed."""
    package, _, name = type_name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError) as error:
        raise BagError(
            f"{type_name} is not installed here ({error}); install {package} or source its workspace"
        ) from error


def _qos(topic: Topic, depth: int) -> QoSProfile:
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if topic.reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE,
    )
