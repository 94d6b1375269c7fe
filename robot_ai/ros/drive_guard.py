"""Commands on their way to the motors, and the word that stops them: the watchdog with its topics."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, UInt32

from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status
from robot_ai.safety.watchdog import SafetyLimits, SafetyState, Verdict, Watchdog

# Only the newest counts; a reliable writer also serves subscriptions of best effort.
_NEWEST = QoSProfile(depth=1)
_ANY = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
_LEVELS = {
    SafetyState.OK: OK,
    SafetyState.DEGRADED: WARN,
    SafetyState.TURN_ONLY: WARN,
    SafetyState.STOP: ERROR,
}


class DriveGuard:
    """`cmd_vel` goes in, `mcu/cmd_vel`, `mcu/stop` and `mcu/host_heartbeat` go out; `mcu/heartbeat` is listened to.

    Call `tick` once per watchdog period. Thread-safe: the agent's network thread may report the link at any time.
    """

    def __init__(self, node: Node, limits: SafetyLimits, stamped: bool) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._watchdog = Watchdog(limits, time.monotonic())
        self._verdict = self._watchdog.evaluate(time.monotonic())
        self._beats = 0
        self._mcu_beats = 0
        self._refused = 0
        self._command = node.create_publisher(Twist, "mcu/cmd_vel", _NEWEST)
        self._stop = node.create_publisher(Bool, "mcu/stop", _NEWEST)
        self._heartbeat = node.create_publisher(UInt32, "mcu/host_heartbeat", _NEWEST)
        self._subscriptions = [
            node.create_subscription(UInt32, "mcu/heartbeat", self._on_heartbeat, _ANY),
            node.create_subscription(TwistStamped, "cmd_vel", self._on_stamped, _ANY)
            if stamped
            else node.create_subscription(Twist, "cmd_vel", self._on_command, _ANY),
        ]

    @property
    def verdict(self) -> Verdict:
        """The newest verdict."""
        return self._verdict

    def set_limits(self, limits: SafetyLimits) -> None:
        """New limits, in force from now on."""
        with self._lock:
            self._watchdog.limits = limits

    def saw_detections(self, age: float, nearest: float) -> None:
        """Detections came whose scene is `age` seconds old; the nearest obstacle's distance in meters or infinity."""
        now = time.monotonic()
        with self._lock:
            self._watchdog.saw_detections(now, now - age, nearest)
        # An obstacle stops the robot now, not at the next look.
        self._judge()

    def link(self, fault: str) -> None:
        """What the agent says of the link to the MCU: a fault in words, empty when it is up."""
        with self._lock:
            self._watchdog.link(time.monotonic(), fault)
        self._judge()

    def tick(self) -> None:
        """One watchdog period: judges, and says the outcome whether it changed or not."""
        self._judge()
        stopped = self._verdict.state is SafetyState.STOP
        self._stop.publish(Bool(data=stopped))
        if stopped:
            self._command.publish(Twist())
        self._beats = (self._beats + 1) % 2**32
        self._heartbeat.publish(UInt32(data=self._beats))

    def halt(self) -> None:
        """The last word before the bridge goes silent."""
        self._command.publish(Twist())
        self._stop.publish(Bool(data=True))

    def describe(self, status: Status) -> None:
        """Adds the verdict to a diagnostic status."""
        verdict = self._verdict
        status.values |= {
            "state": verdict.state.name,
            "speed passed on (%)": f"{verdict.speed * 100:.0f}",
            "turn passed on (%)": f"{verdict.turn * 100:.0f}",
            "MCU heartbeats": str(self._mcu_beats),
            "commands refused": str(self._refused),
        }
        if verdict.state is not SafetyState.OK:
            status.find(_LEVELS[verdict.state], f"{verdict.state.name}: {', '.join(verdict.reasons)}")

    def destroy(self) -> None:
        """Removes everything from the graph."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        for publisher in (self._command, self._stop, self._heartbeat):
            self._node.destroy_publisher(publisher)

    def _judge(self) -> None:
        with self._lock:
            before, verdict = self._verdict, self._watchdog.evaluate(time.monotonic())
            self._verdict = verdict
        if verdict.state is before.state:
            return
        if verdict.state is SafetyState.STOP:
            self.halt()
            self._node.get_logger().error(f"STOP: {', '.join(verdict.reasons)}")
        else:
            self._stop.publish(Bool(data=False))
            self._node.get_logger().info(f"{verdict.state.name} {', '.join(verdict.reasons)}".strip())

    def _on_heartbeat(self, message: UInt32) -> None:
        self._mcu_beats += 1
        with self._lock:
            self._watchdog.saw_heartbeat(time.monotonic())

    def _on_stamped(self, message: TwistStamped) -> None:
        self._on_command(message.twist)

    def _on_command(self, message: Twist) -> None:
        numbers = _numbers(message)
        if not all(map(math.isfinite, numbers)):
            # As if it had not come: a sender of nonsense turns stale.
            self._refused += 1
            self._node.get_logger().error("cmd_vel holds NaN or infinity; it is refused", throttle_duration_sec=1.0)
            return
        with self._lock:
            self._watchdog.saw_command(time.monotonic(), any(numbers))
        self._judge()
        if self._verdict.state is not SafetyState.STOP:
            self._command.publish(_scaled(message, self._verdict))


def _numbers(twist: Any) -> tuple[float, ...]:
    linear, angular = twist.linear, twist.angular
    return (linear.x, linear.y, linear.z, angular.x, angular.y, angular.z)


def _scaled(twist: Any, verdict: Verdict) -> Twist:
    scaled = Twist()
    for part in ("linear", "angular"):
        for axis in "xyz":
            share = verdict.turn if (part, axis) == ("angular", "z") else verdict.speed
            setattr(getattr(scaled, part), axis, getattr(getattr(twist, part), axis) * share)
    return scaled
