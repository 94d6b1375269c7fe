"""micro_ros_bridge: microcontrollers on the ROS graph, detections for them, and a watchdog over what drives them."""

from __future__ import annotations

from typing import Any

from rclpy.timer import Timer

from robot_ai.nodes.micro_ros_bridge_parameters import MicroRosBridgeParameters
from robot_ai.ros.diagnostics import ERROR, OK, WARN, Status
from robot_ai.ros.drive_guard import DriveGuard
from robot_ai.ros.lifecycle import SafeLifecycleNode, run
from robot_ai.ros.mcu_port import McuPort
from robot_ai.ros.parameters import NodeParameters
from robot_ai.ros.xrce.agent import RosAgent

LINK_PERIOD = 0.1


class MicroRosBridge(SafeLifecycleNode):
    """Topics, services, states and parameters: docs/micro_ros.md."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("micro_ros_bridge", **kwargs)
        self._agent: RosAgent | None = None
        self._guard: DriveGuard | None = None
        self._port: McuPort | None = None
        self._timers: list[Timer] = []
        self._settings = NodeParameters(
            self,
            MicroRosBridgeParameters,
            is_configured=lambda: self.is_configured,
            validate=MicroRosBridgeParameters.check,
            changed=self._apply,
        )
        self.report(self._statuses)

    def configure(self) -> None:
        """Creates the topics; the robot is in STOP."""
        values = self._settings.values
        self._guard = DriveGuard(self, values.limits, values.stamped_cmd_vel)
        self._port = McuPort(self, values.detections_type == "3d", self._guard.saw_detections, self._mcu_settings)

    def activate(self) -> None:
        """Lets clients in and starts the watchdog."""
        values = self._settings.values
        if values.agent == "internal":
            self._agent = RosAgent(self, values.transports, values.agent_settings, values.follow_client_domain)
            self._timers.append(self.create_timer(LINK_PERIOD, self._watch_link, clock=self.steady))
            self._watch_link()
        # The robot must stop while simulated time stands still, too.
        self._timers.append(self.create_timer(values.watchdog_period, self._tick, clock=self.steady))

    def deactivate(self) -> None:
        """Says stop, then lets the clients go; without heartbeats the MCU stays stopped."""
        for timer in self._timers:
            self.destroy_timer(timer)
        self._timers.clear()
        if self._guard is not None:
            self._guard.halt()
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.close()

    def release(self) -> None:
        """Frees everything."""
        try:
            self.deactivate()
        finally:
            parts = self._port, self._guard
            self._port = self._guard = None
            self.destroy_all(*parts)

    def _apply(self) -> None:
        if self._guard is not None:
            self._guard.set_limits(self._settings.values.limits)

    def _mcu_settings(self) -> tuple[int, float, bool, float, tuple[str, ...]]:
        values = self._settings.values
        nearest_first = values.mcu_detections_order == "nearest"
        obstacles = (values.obstacle_half_angle, values.obstacle_classes)
        return values.mcu_detections, values.mcu_detections_rate, nearest_first, *obstacles

    def _tick(self) -> None:
        if self._guard is not None:
            self._guard.tick()

    def _watch_link(self) -> None:
        if self._agent is not None and self._guard is not None:
            self._guard.link(self._agent.link_fault(self._settings.values.mcu_node))

    def _statuses(self) -> list[Status]:
        name = self.get_fully_qualified_name().lstrip("/")
        statuses = [self._describe(name)]
        if self._guard is not None:
            safety = Status(f"{name}: safety", "")
            self._guard.describe(safety)
            statuses.append(safety)
        if self._port is not None:
            detections = Status(f"{name}: detections", "")
            self._port.describe(detections)
            statuses.append(detections)
        if self._agent is not None:
            statuses += self._agent.describe(name)
        return statuses

    def _describe(self, name: str) -> Status:
        values = self._settings.values
        status = Status(f"{name}: bridge", "")
        status.values = {"state": self.state_label, "agent": values.agent}
        if self.last_error:
            status.find(ERROR, self.last_error)
        elif not self._timers:
            status.find(WARN if values.autostart else OK, f"not active: {self.state_label}")
        return status


def main(args: list[str] | None = None) -> int:
    """Runs the node."""
    return run(MicroRosBridge, args)


if __name__ == "__main__":
    raise SystemExit(main())
