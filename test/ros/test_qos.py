"""The matched subscription beside real publishers, all in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from rcl_interfaces.msg import SetParametersResult
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_harness import Peer, bright_image, next_domain
from sensor_msgs.msg import Image

from robot_ai.ros.errors import QosOverrideError
from robot_ai.ros.lifecycle import with_info
from robot_ai.ros.qos import DEPTH, PATIENCE, MatchedSubscription

TOPIC = "/front/image"
PREFIX = f"qos_overrides.{TOPIC}.subscription"
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer(next_domain(), "qos_test")
    yield peer
    peer.close()


@pytest.fixture
def subscribe(peer: Peer) -> Callable[..., tuple[MatchedSubscription, list[Image]]]:
    """Subscribes with overrides as a user gives them: parameters that are there before the subscription."""

    def make(**overrides: object) -> tuple[MatchedSubscription, list[Image]]:
        peer.node._parameter_overrides |= {
            f"{PREFIX}.{policy}": Parameter(f"{PREFIX}.{policy}", value=value) for policy, value in overrides.items()
        }
        received: list[Image] = []
        return MatchedSubscription(peer.node, Image, "front/image", received.append), received

    return make


def checked(peer: Peer, subscription: MatchedSubscription, condition: Callable[[], object]) -> None:
    """Calls `check` as a node's timer does, until the condition holds."""

    def check() -> object:
        subscription.check()
        time.sleep(0.02)
        return condition()

    peer.wait(check, 15)


class Listener(Node):
    """Subscribes as our nodes do under this executor."""

    def create_subscription(self, msg_type, topic, callback, *args, **kwargs):
        return super().create_subscription(msg_type, topic, with_info(callback), *args, **kwargs)


def test_nothing_comes_after_it_is_destroyed():
    """What the executor has taken from the middleware it hands over later, though a node was deactivated meanwhile."""
    peer = Peer(next_domain(), "qos_test")
    node = Listener("listener", context=peer.context, use_global_arguments=False)
    executor = EventsExecutor(context=peer.context)
    executor.add_node(node)
    late: list[Image] = []
    destroyed: list[bool] = []

    def receive(message: Image) -> None:
        if destroyed:
            late.append(message)

    def stop(_: Image) -> None:
        subscription.destroy()
        destroyed.append(True)

    subscription = MatchedSubscription(node, Image, TOPIC, receive)
    stopping = node.create_subscription(Image, "stop", stop, BEST_EFFORT)
    publishers = [peer.node.create_publisher(Image, topic, BEST_EFFORT) for topic in (TOPIC, "stop")]
    peer.wait(lambda: all(publisher.get_subscription_count() for publisher in publishers))
    for number in range(1, 5):
        for publisher in publishers[:: 1 if number == 1 else -1]:
            publisher.publish(bright_image(8, 8, None, number))
    peer.spin(0.3)
    deadline = time.monotonic() + 15
    while not destroyed and time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    for _ in range(20):
        executor.spin_once(timeout_sec=0.05)
    assert destroyed
    assert not late
    executor.shutdown()
    node.destroy_subscription(stopping)
    node.destroy_node()
    peer.close()


def test_starts_best_effort_which_any_publisher_matches(subscribe):
    subscription, _ = subscribe()
    assert subscription.topic == TOPIC
    assert subscription.state.reliability == "best_effort"
    assert (subscription.state.publishers, subscription.state.lost, subscription.state.problem) == (0, 0, "")


def test_turns_reliable_with_a_reliable_publisher_and_back(peer, subscribe):
    subscription, _ = subscribe()
    peer.node.create_publisher(Image, TOPIC, RELIABLE)
    checked(peer, subscription, lambda: subscription.state.reliability == "reliable")
    assert subscription.state.publishers == 1
    peer.node.create_publisher(Image, TOPIC, BEST_EFFORT)
    checked(peer, subscription, lambda: subscription.state.reliability == "best_effort")
    assert subscription.state.publishers == 2
    assert subscription.state.problem == ""


@pytest.mark.parametrize("qos", [RELIABLE, BEST_EFFORT])
def test_each_message_comes_once_across_the_change(peer, subscribe, qos):
    subscription, received = subscribe()
    publisher = peer.node.create_publisher(Image, TOPIC, qos)
    peer.wait(publisher.get_subscription_count)
    for number in range(1, 61):
        publisher.publish(bright_image(8, 8, None, number))
        if number % 5 == 0:
            subscription.check()
        peer.spin(0.02)
    checked(peer, subscription, lambda: len(received) >= 55)
    stamps = [message.header.stamp.nanosec for message in received]
    assert len(stamps) == len(set(stamps)), "a message was delivered twice"
    assert stamps[-1] == 60
    assert subscription.state.reliability == ("reliable" if qos is RELIABLE else "best_effort")


def test_no_publisher_is_said_after_a_while_and_taken_back(peer, subscribe):
    subscription, _ = subscribe()
    for _ in range(PATIENCE - 1):
        subscription.check()
    assert subscription.state.problem == ""
    subscription.check()
    assert subscription.state.problem.startswith(f"no publisher on {TOPIC}: is its driver running")
    assert "ROS_DOMAIN_ID" in subscription.state.problem
    peer.node.create_publisher(Image, TOPIC, RELIABLE)
    checked(peer, subscription, lambda: not subscription.state.problem)


def test_a_publisher_that_offers_less_than_the_override_is_a_mismatch(peer, subscribe):
    subscription, _ = subscribe(reliability="reliable")
    assert subscription.state.reliability == "reliable"
    publisher = peer.node.create_publisher(Image, TOPIC, BEST_EFFORT)
    checked(peer, subscription, lambda: subscription.state.problem)
    assert subscription.state.problem.startswith(f"QoS mismatch on {TOPIC}: qos_overrides ask for reliable")
    assert "Remove the override or change the publisher" in subscription.state.problem
    peer.node.destroy_publisher(publisher)
    peer.node.create_publisher(Image, TOPIC, RELIABLE)
    checked(peer, subscription, lambda: not subscription.state.problem)


def test_durability_is_compared_too(peer, subscribe):
    subscription, _ = subscribe(durability="transient_local")
    peer.node.create_publisher(Image, TOPIC, RELIABLE)
    checked(
        peer, subscription, lambda: "transient local, but a publisher offers volatile" in subscription.state.problem
    )


def test_a_latched_publisher_fits_a_latched_override(peer, subscribe):
    subscription, received = subscribe(durability="transient_local", reliability="reliable")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    peer.node.create_publisher(Image, TOPIC, latched).publish(bright_image(8, 8, None, 1))
    checked(peer, subscription, lambda: received)
    assert subscription.state.problem == ""


def test_an_override_keeps_best_effort_beside_a_reliable_publisher(peer, subscribe):
    subscription, _ = subscribe(reliability="best_effort")
    peer.node.create_publisher(Image, TOPIC, RELIABLE)
    checked(peer, subscription, lambda: subscription.state.publishers == 1)
    assert subscription.state.reliability == "best_effort"
    assert subscription.state.problem == ""


@pytest.mark.parametrize(
    ("policy", "value", "message"),
    [
        ("reliability", "relieable", "reliability is 'relieable'; expected auto, reliable or best_effort"),
        ("durability", "persistent", "durability is 'persistent'; expected auto, volatile or transient_local"),
        ("depth", 0, "depth is 0; expected 1 or more"),
    ],
)
def test_an_override_that_means_nothing_is_refused_by_its_name(subscribe, policy, value, message):
    with pytest.raises(QosOverrideError) as caught:
        subscribe(**{policy: value})
    assert str(caught.value) == f"{PREFIX}.{message}"


def test_overrides_can_be_listed_and_not_changed(peer, subscribe):
    subscribe()
    values = {
        policy: peer.node.get_parameter(f"{PREFIX}.{policy}").value for policy in ("reliability", "durability", "depth")
    }
    assert values == {"reliability": "auto", "durability": "auto", "depth": DEPTH}
    assert "best_effort" in peer.node.describe_parameter(f"{PREFIX}.reliability").description
    (result,) = peer.node.set_parameters([Parameter(f"{PREFIX}.reliability", value="reliable")])
    assert isinstance(result, SetParametersResult)
    assert not result.successful


def test_subscribing_again_keeps_the_overrides(peer, subscribe):
    first, _ = subscribe(reliability="reliable")
    first.destroy()
    assert MatchedSubscription(peer.node, Image, "front/image", lambda _: None).state.reliability == "reliable"


def test_frames_lost_on_the_way_are_counted(peer, subscribe):
    subscription, received = subscribe(reliability="best_effort", depth=1)
    publisher = peer.node.create_publisher(Image, TOPIC, BEST_EFFORT)
    peer.wait(publisher.get_subscription_count)
    checked(peer, subscription, lambda: subscription.state.publishers == 1)
    publisher.publish(bright_image(8, 8, None, 1))
    peer.wait(lambda: len(received) == 1)
    # Nobody spins, the queue holds one: the newest is left.
    for number in range(2, 7):
        publisher.publish(bright_image(8, 8, None, number))
    time.sleep(0.3)
    peer.wait(lambda: len(received) == 2)
    assert received[-1].header.stamp.nanosec == 6
    assert subscription.state.lost == 4
