"""tf: by tf2_ros where it is installed, by our own reader of /tf and /tf_static elsewhere, behind one interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rclpy.clock import JumpHandle, JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from tf2_msgs.msg import TFMessage

from robot_ai.errors import RobotAIError
from robot_ai.geometry.errors import TransformError, TransformTimeError, UnconnectedFramesError, UnknownFrameError
from robot_ai.geometry.transform_buffer import TransformBuffer
from robot_ai.geometry.transforms import RigidTransform
from robot_ai.ros.stamps import stamp_of

# As tf2_ros subscribes.
_DYNAMIC = QoSProfile(depth=100)
_STATIC = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_COMPLAINT_PERIOD = 10.0
# Simulated time that goes back by this much, in seconds, began again; as tf2_ros has it.
_REWIND = -1.0


class TransformSource(Protocol):
    """Where frames are. `lookup` is called from worker threads while the node's executor spins elsewhere."""

    def lookup(self, target: str, source: str, stamp: int, timeout: float) -> RigidTransform:
        """The transform that takes points of `source` into `target` at `stamp` nanoseconds (0: the newest).

        Waits at most `timeout` seconds. Raises a TransformError that names the frame.
        """

    def destroy(self) -> None:
        """Stops listening."""


class TopicTransforms:
    """Reads /tf and /tf_static itself."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._buffer = TransformBuffer()
        self._jumps = _on_rewind(node, self._buffer.clear)
        self._subscriptions = [
            node.create_subscription(TFMessage, "/tf", self._on_dynamic, _DYNAMIC),
            node.create_subscription(TFMessage, "/tf_static", self._on_static, _STATIC),
        ]

    def lookup(self, target: str, source: str, stamp: int, timeout: float) -> RigidTransform:
        """As TransformSource."""
        return self._buffer.lookup(target, source, stamp, timeout)

    def destroy(self) -> None:
        """As TransformSource."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self._jumps.unregister()

    def _on_dynamic(self, message: Any) -> None:
        self._add(message, static=False)

    def _on_static(self, message: Any) -> None:
        self._add(message, static=True)

    def _add(self, message: Any, static: bool) -> None:
        for problem in add_transforms(self._buffer, message, static):
            self._node.get_logger().warning(problem, throttle_duration_sec=_COMPLAINT_PERIOD)


def add_transforms(buffer: TransformBuffer, message: Any, static: bool) -> list[str]:
    """Takes in a TFMessage; what is wrong with those of its transforms that are left out."""
    problems = []
    for entry in message.transforms:
        offset, turn = entry.transform.translation, entry.transform.rotation
        try:
            transform = RigidTransform.from_quaternion((offset.x, offset.y, offset.z), (turn.x, turn.y, turn.z, turn.w))
            parent, child = entry.header.frame_id.lstrip("/"), entry.child_frame_id.lstrip("/")
            buffer.add(parent, child, stamp_of(entry), transform, static)
        except RobotAIError as error:
            problems.append(f"a transform of {entry.child_frame_id} in {entry.header.frame_id} is left out: {error}")
    return problems


class Tf2Transforms:
    """Asks tf2_ros."""

    def __init__(self, node: Node, tf2_ros: Any) -> None:
        self._tf2 = tf2_ros
        self._buffer = tf2_ros.Buffer()
        # A buffer looks after its own clock, which is the node's only together with a service of its own.
        self._jumps = _on_rewind(node, self._buffer.clear)
        self._listener = tf2_ros.TransformListener(self._buffer, node)

    def lookup(self, target: str, source: str, stamp: int, timeout: float) -> RigidTransform:
        """As TransformSource."""
        if stamp < 0:
            raise TransformTimeError(
                f"the transform of '{source}' in '{target}' is asked for a time before 1970", past=True
            )
        try:
            found = self._buffer.lookup_transform(
                target, source, Time(nanoseconds=stamp), Duration(nanoseconds=round(timeout * 1e9))
            )
        except self._tf2.LookupException as error:
            raise UnknownFrameError(str(error)) from error
        except self._tf2.ConnectivityException as error:
            raise UnconnectedFramesError(str(error)) from error
        except self._tf2.ExtrapolationException as error:
            raise TransformTimeError(str(error)) from error
        except self._tf2.TransformException as error:
            raise TransformError(str(error)) from error
        offset, turn = found.transform.translation, found.transform.rotation
        return RigidTransform.from_quaternion((offset.x, offset.y, offset.z), (turn.x, turn.y, turn.z, turn.w))

    def destroy(self) -> None:
        """As TransformSource."""
        self._listener.unregister()
        self._jumps.unregister()


def _on_rewind(node: Node, forget: Callable[[], None]) -> JumpHandle:
    """Calls `forget` when the node's time, which is simulated, begins again: what was known is of another time."""
    threshold = JumpThreshold(min_forward=None, min_backward=Duration(seconds=_REWIND), on_clock_change=True)
    return node.get_clock().create_jump_callback(threshold, post_callback=lambda _: forget())


def open_transforms(node: Node) -> TransformSource:
    """tf2_ros's transforms, or our own reading where that is not installed."""
    try:
        import tf2_ros
    except ImportError:
        return TopicTransforms(node)
    return Tf2Transforms(node, tf2_ros)
