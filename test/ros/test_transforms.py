"""tf over DDS: our own reader, and tf2_ros where it is installed, held to the same."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import next_domain
from rosgraph_msgs.msg import Clock
from tf2_msgs.msg import TFMessage

from robot_ai.geometry.errors import TransformError, TransformTimeError, UnconnectedFramesError, UnknownFrameError
from robot_ai.ros.transforms import Tf2Transforms, TopicTransforms, TransformSource, open_transforms

SECOND = 1_000_000_000
STATIC = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
needs_tf2_ros = pytest.mark.skipif(
    importlib.util.find_spec("tf2_ros") is None, reason="tf2_ros is not installed: no package registry has it"
)


def transform(parent: str, child: str, x: float, stamp: int, xyzw: tuple[float, ...] = (0, 0, 0, 1)):
    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, SECOND)
    message.transform.translation.x = float(x)
    turn = message.transform.rotation
    turn.x, turn.y, turn.z, turn.w = map(float, xyzw)
    return message


class Tf:
    """A node that listens to tf in a thread of its own, and one that tells it."""

    def __init__(self, open_source: Callable[[Node], TransformSource]) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=next_domain())
        simulated = [Parameter("use_sim_time", value=True)]
        self.node = Node("listener", context=self.context, use_global_arguments=False, parameter_overrides=simulated)
        self.teller = Node("teller", context=self.context, use_global_arguments=False)
        self.source = open_source(self.node)
        self.moving = self.teller.create_publisher(TFMessage, "/tf", 100)
        self.fixed = self.teller.create_publisher(TFMessage, "/tf_static", STATIC)
        self.clock = self.teller.create_publisher(Clock, "/clock", 10)
        self.executor = SingleThreadedExecutor(context=self.context)
        for node in (self.node, self.teller):
            self.executor.add_node(node)
        self.thread = threading.Thread(target=self.executor.spin, daemon=True)
        self.thread.start()
        until(lambda: all(p.get_subscription_count() for p in (self.moving, self.fixed, self.clock)))

    def move(self, x: float, stamp: int, xyzw: tuple[float, ...] = (0, 0, 0, 1)) -> None:
        self.moving.publish(TFMessage(transforms=[transform("odom", "base", x, stamp, xyzw)]))

    def set_time(self, seconds: int) -> None:
        message = Clock()
        message.clock.sec = seconds
        self.clock.publish(message)
        until(lambda: self.node.get_clock().now().nanoseconds == seconds * SECOND)

    def at(self, target: str, source: str, stamp: int, timeout: float = 10.0) -> list[float]:
        return self.source.lookup(target, source, stamp, timeout).translation.tolist()

    def close(self) -> None:
        self.source.destroy()
        self.executor.shutdown()
        self.thread.join(10)
        for node in (self.node, self.teller):
            node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "not so within 20 s"
        time.sleep(0.01)


@pytest.fixture(params=[TopicTransforms, pytest.param(Tf2Transforms, marks=needs_tf2_ros)])
def tf(request) -> Iterator[Tf]:
    def open_source(node: Node) -> TransformSource:
        if request.param is TopicTransforms:
            return TopicTransforms(node)
        import tf2_ros

        return Tf2Transforms(node, tf2_ros)

    parts = Tf(open_source)
    yield parts
    parts.close()


def test_between_two_stamps_up_and_down_the_tree(tf) -> None:
    half = np.sqrt(0.5)
    tf.fixed.publish(TFMessage(transforms=[transform("base", "lidar", 1, 0)]))
    tf.move(4, 10 * SECOND)
    tf.move(6, 11 * SECOND, (0, 0, half, half))
    # Half way, and half a quarter turn.
    found = tf.source.lookup("odom", "lidar", 21 * SECOND // 2, 10.0)
    assert found.translation == pytest.approx([5 + half, half, 0])
    assert found.rotation[0, :2] == pytest.approx([half, -half])
    back = tf.source.lookup("lidar", "odom", 21 * SECOND // 2, 10.0)
    assert back.rotation @ found.translation + back.translation == pytest.approx([0, 0, 0], abs=1e-9)
    # A stamp of 0 asks for the newest.
    assert tf.at("odom", "base", 0) == pytest.approx([6, 0, 0])


def test_what_is_missing_is_named(tf) -> None:
    tf.move(0, 10 * SECOND)
    tf.fixed.publish(TFMessage(transforms=[transform("map", "camera", 1, 0)]))
    assert tf.at("map", "camera", 0) == [1, 0, 0]
    tf.at("odom", "base", 10 * SECOND)
    for target, source, stamp, error, named in (
        ("odom", "lidar", 0, UnknownFrameError, "lidar"),
        ("odom", "camera", 0, UnconnectedFramesError, "odom"),
        ("odom", "base", 11 * SECOND, TransformTimeError, "base"),
        ("odom", "base", 9 * SECOND, TransformTimeError, "base"),
    ):
        with pytest.raises(error, match=named):
            tf.at(target, source, stamp, timeout=0.0)


def test_a_late_transform_is_waited_for_and_the_wait_ends(tf) -> None:
    tf.move(0, 10 * SECOND)
    tf.at("odom", "base", 10 * SECOND)
    started = time.monotonic()
    with pytest.raises(TransformTimeError):
        tf.at("odom", "base", 12 * SECOND, timeout=0.3)
    assert 0.25 < time.monotonic() - started < 5
    late = threading.Timer(0.3, tf.move, (2, 12 * SECOND))
    late.start()
    assert tf.at("odom", "base", 11 * SECOND) == [1, 0, 0]
    late.join()


def test_simulated_time_that_begins_again(tf) -> None:
    tf.fixed.publish(TFMessage(transforms=[transform("base", "lidar", 1, 0)]))
    tf.set_time(20)
    for second in range(10, 21):
        tf.move(100 + second, second * SECOND)
    assert tf.at("odom", "lidar", 20 * SECOND) == [121, 0, 0]
    tf.set_time(12)
    with pytest.raises(TransformError):
        tf.at("odom", "lidar", 12 * SECOND, timeout=0.0)
    for second in (12, 14):
        tf.move(second, second * SECOND)
    # Between the new stamps lies nothing of the time before; what stands is still known.
    assert tf.at("odom", "lidar", 13 * SECOND) == [14, 0, 0]


def test_a_stamp_before_all_time_is_a_time_without_a_transform(tf) -> None:
    tf.move(1, 10 * SECOND)
    assert tf.at("odom", "base", 10 * SECOND) == [1, 0, 0]
    with pytest.raises(TransformTimeError):
        tf.at("odom", "base", -SECOND, timeout=0.0)
    if isinstance(tf.source, TopicTransforms):
        tf.move(5, -SECOND)
        tf.move(2, 11 * SECOND)
        assert tf.at("odom", "base", 11 * SECOND) == [2, 0, 0]


def test_when_destroyed_it_listens_no_more(tf) -> None:
    tf.source.destroy()
    until(lambda: not tf.moving.get_subscription_count() and not tf.fixed.get_subscription_count())
    tf.source = TopicTransforms(tf.node)


@needs_tf2_ros
def test_tf2_ros_is_taken_where_it_is_installed(tf) -> None:
    source = open_transforms(tf.node)
    assert isinstance(source, Tf2Transforms)
    source.destroy()
