"""A subscription whose QoS follows what the publishers offer, and which says so when nothing can arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from robot_ai.ros.errors import QosOverrideError

AUTO = "auto"
# Callbacks only fill a slot, so the queue just bridges the moments in which the interpreter is held elsewhere.
DEPTH = 5
# Checks, a quarter of a second apart, without a publisher before it is said: discovery takes a moment.
PATIENCE = 12


@dataclass(frozen=True)
class SubscriptionState:
    """What is known of the topic's publishers. `problem` is empty when messages can arrive."""

    publishers: int
    reliability: str
    lost: int
    problem: str


@dataclass
class _Overrides:
    """The user's `qos_overrides`; None leaves the policy to the publishers' offer."""

    reliability: ReliabilityPolicy | None
    durability: DurabilityPolicy | None
    depth: int


class MatchedSubscription:
    """Subscribes best effort, which any publisher matches, and turns reliable once every publisher offers it.

    So a sensor driver and a bag player are both heard, and large images over a network are repeated when lost. The user
    may fix a policy by the usual `qos_overrides.<topic>.subscription.<policy>` parameters; then a publisher that offers
    less is reported, loudly and once, instead of silence. Call `check` a few times a second from the executor.
    """

    def __init__(self, node: Node, message_type: type, topic: str, callback: Callable[[Any], None]) -> None:
        self._node = node
        self._message_type = message_type
        self._topic = node.resolve_topic_name(topic)
        self._callback = callback
        self._overrides = _declare_overrides(node, self._topic)
        self._generation = 0
        self._newest_heard = -1
        self._subscriptions: dict[int, Subscription] = {}
        self._recent: deque[tuple[int | None, int | None]] = deque(maxlen=16)
        self._sequence: int | None = None
        self._lost = 0
        self._silent_checks = 0
        self._problem = ""
        self._publishers = 0
        self._reliability = self._overrides.reliability or ReliabilityPolicy.BEST_EFFORT
        self._subscribe()

    @property
    def topic(self) -> str:
        """The topic's name after remapping."""
        return self._topic

    @property
    def state(self) -> SubscriptionState:
        """The latest findings."""
        return SubscriptionState(self._publishers, self._reliability.name.lower(), self._lost, self._problem)

    def check(self) -> None:
        """Compares the publishers' offers with ours; resubscribes or reports as needed."""
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(self._topic)]
        if len(offers) != self._publishers:
            self._sequence = None
        self._publishers = len(offers)
        if len(self._subscriptions) == 1:
            # A check ago there may have been two; copies that were still queued have been read since.
            self._recent.clear()
        if self._newest_heard == self._generation:
            self._retire_older()
        if not offers:
            self._silent_checks += 1
            if self._silent_checks >= PATIENCE:
                self._report(
                    f"no publisher on {self._topic}: is its driver running, in this ROS_DOMAIN_ID and namespace?"
                )
            return
        self._silent_checks = 0
        self._follow(offers)
        self._report(self._mismatch(offers))

    def destroy(self) -> None:
        """Unsubscribes; the callback is not called any more."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _follow(self, offers: list[QoSProfile]) -> None:
        if self._overrides.reliability is not None:
            return
        reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
        wanted = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        if wanted != self._reliability:
            self._reliability = wanted
            self._generation += 1
            self._subscribe()

    def _subscribe(self) -> None:
        generation = self._generation
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._overrides.depth,
            reliability=self._reliability,
            durability=self._overrides.durability or DurabilityPolicy.VOLATILE,
        )

        def receive(message: Any, info: dict[str, Any]) -> None:
            self._receive(generation, message, info)

        # Taking over the incompatible-QoS event silences rclpy's own terse warning; check() gives the whole story.
        events = SubscriptionEventCallbacks(incompatible_qos=lambda _: None)
        self._subscriptions[generation] = self._node.create_subscription(
            self._message_type, self._topic, receive, profile, event_callbacks=events
        )

    def _retire_older(self) -> None:
        for generation in [g for g in self._subscriptions if g < self._generation]:
            self._node.destroy_subscription(self._subscriptions.pop(generation))

    def _receive(self, generation: int, message: Any, info: dict[str, Any]) -> None:
        # The executor hands over what it has taken already, whatever was destroyed meanwhile.
        if not self._subscriptions:
            return
        self._newest_heard = max(self._newest_heard, generation)
        if (len(self._subscriptions) > 1 or self._recent) and self._is_copy(info):
            return
        self._count_lost(info.get("publication_sequence_number"))
        self._callback(message)

    def _is_copy(self, info: dict[str, Any]) -> bool:
        """While the old and the new subscription overlap, each message comes by both.

        The middleware's own time and number tell copies apart; a header's stamp would not: some drivers leave it zero.
        """
        key = (info.get("source_timestamp"), info.get("publication_sequence_number"))
        if key in self._recent:
            return True
        self._recent.append(key)
        return False

    def _count_lost(self, sequence: int | None) -> None:
        """Counts gaps in the publisher's own numbering: frames lost on the way or in the middleware's queue.

        rclpy does not say which publisher a number belongs to, so it is only counted while there is one.
        """
        if not sequence or self._publishers != 1:
            return
        if self._sequence is not None and sequence > self._sequence + 1:
            self._lost += sequence - self._sequence - 1
        self._sequence = max(sequence, self._sequence or 0)

    def _mismatch(self, offers: list[QoSProfile]) -> str:
        deaf = [
            policy
            for offer in offers
            for policy, unheard in (
                (
                    "reliable, but a publisher offers best effort",
                    self._reliability == ReliabilityPolicy.RELIABLE
                    and offer.reliability == ReliabilityPolicy.BEST_EFFORT,
                ),
                (
                    "transient local, but a publisher offers volatile",
                    self._overrides.durability == DurabilityPolicy.TRANSIENT_LOCAL
                    and offer.durability == DurabilityPolicy.VOLATILE,
                ),
            )
            if unheard
        ]
        if not deaf:
            return ""
        return (
            f"QoS mismatch on {self._topic}: qos_overrides ask for {deaf[0]}, so its messages never arrive. Remove the "
            f"override or change the publisher"
        )

    def _report(self, problem: str) -> None:
        """Says a problem once, and once that it is over."""
        if problem == self._problem:
            return
        if problem:
            self._node.get_logger().error(problem)
        else:
            self._node.get_logger().info(f"{self._topic}: {self._publishers} publisher(s) heard now")
        self._problem = problem


def _declare_overrides(node: Node, topic: str) -> _Overrides:
    """Declares rclpy's usual override parameters, with `auto` as a further value and the default."""
    prefix = f"qos_overrides.{topic}.subscription"

    def declare(policy: str, default: Any, meaning: str) -> Any:
        name = f"{prefix}.{policy}"
        if not node.has_parameter(name):
            node.declare_parameter(name, default, ParameterDescriptor(description=meaning, read_only=True))
        return node.get_parameter(name).value

    reliability = declare("reliability", AUTO, "auto (what the publishers offer), reliable or best_effort")
    durability = declare("durability", AUTO, "auto (volatile), volatile or transient_local")
    depth = declare("depth", DEPTH, "messages kept while the executor is busy")
    if depth < 1:
        raise QosOverrideError(f"{prefix}.depth is {depth}; expected 1 or more")
    return _Overrides(
        _policy(f"{prefix}.reliability", ReliabilityPolicy, reliability, ("reliable", "best_effort")),
        _policy(f"{prefix}.durability", DurabilityPolicy, durability, ("volatile", "transient_local")),
        depth,
    )


def _policy(name: str, policies: Any, value: str, accepted: tuple[str, ...]) -> Any:
    if value == AUTO:
        return None
    if value not in accepted:
        raise QosOverrideError(f"{name} is '{value}'; expected auto, {' or '.join(accepted)}")
    return policies[value.upper()]
