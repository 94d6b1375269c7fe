"""`robot_ai demo-mcu`: a robot with a microcontroller, its cable pulled, its stop, its recovery."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import rclpy
from geometry_msgs.msg import Twist
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

from robot_ai.cli.processes import NodeProcess, ProcessGroup
from robot_ai.errors import RobotAIError

_PERIOD = 0.05
_GRACE = 5.0


class DemoMcuError(RobotAIError):
    """A step of the demo that did not happen."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--output", type=Path, default=Path("out/demo-mcu"), help="where logs go (out/demo-mcu)")
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds that each step may take (20)")


def run(args: argparse.Namespace) -> int:
    """Runs the demo; 0 when every step happened."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    args.output.mkdir(parents=True, exist_ok=True)
    port = (args.output / "serial").absolute()
    bridge = NodeProcess(
        "micro_ros_bridge",
        "robot_ai.nodes.micro_ros_bridge",
        {"serial_ports": f"[{port}]", "udp_port": 0, "detections_type": "3d", "stop_distance": 0.5},
    )
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with ProcessGroup([bridge], args.output / "log", {}) as group, McuProcess(port, args.output / "mcu.log") as mcu:
            _play(_Robot(), mcu, group, args.timeout)
    finally:
        rclpy.try_shutdown()
    print("\nEvery step happened.")
    return 0


class McuProcess:
    """The simulated microcontroller as a child; what it says is read from its log."""

    def __init__(self, port: Path, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "robot_ai.cli.simulated_mcu", "--path", str(port)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> McuProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def tell(self, word: str) -> None:
        """Pulls the cable (`unplug`) or puts it back (`plug`)."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())
        self._process.stdin.flush()

    def lines(self) -> list[str]:
        """What it has said so far."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()


class _Robot(Node):
    """What the bridge hears: a person three meters ahead, or nearer, and the wish to drive on."""

    def __init__(self) -> None:
        super().__init__("demo_robot")
        self.distance = 3.0
        self.seeing = True
        self._detections = self.create_publisher(Detection3DArray, "detections", 10)
        self._command = self.create_publisher(Twist, "cmd_vel", 10)
        self.create_timer(_PERIOD, self._tick)

    def _tick(self) -> None:
        command = Twist()
        command.linear.x = 0.4
        self._command.publish(command)
        if not self.seeing:
            return
        person = Detection3D(results=[ObjectHypothesisWithPose()])
        person.results[0].hypothesis.class_id, person.results[0].hypothesis.score = "person", 0.9
        person.bbox.center.position.x = self.distance
        person.bbox.size.x = person.bbox.size.y = person.bbox.size.z = 0.2
        message = Detection3DArray(detections=[person])
        message.header.stamp = self.get_clock().now().to_msg()
        message.header.frame_id = "base_link"
        self._detections.publish(message)


def _play(robot: _Robot, mcu: McuProcess, group: ProcessGroup, timeout: float) -> None:
    began = time.monotonic()
    seen = 0

    def step(what: str, act: Callable[[], object], expected: str) -> None:
        """Does something and waits until the microcontroller says what is expected. Raises DemoMcuError."""
        nonlocal seen
        print(f"\n{time.monotonic() - began:5.1f} s  {what}", flush=True)
        act()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            rclpy.spin_once(robot, timeout_sec=_PERIOD)
            for name, code in group.ended().items():
                raise DemoMcuError(f"{name} ended with exit code {code}; see {group.log_file(name)}")
            for line in mcu.lines()[seen:]:
                seen += 1
                print(f"{time.monotonic() - began:5.1f} s    MCU: {line}", flush=True)
                if line.startswith(expected):
                    return
        raise DemoMcuError(f"the MCU did not say '{expected}' within {timeout:.0f} s; see {group.log_file(robot_log)}")

    robot_log = "micro_ros_bridge"
    step("the bridge and the MCU start, joined by a serial line", lambda: None, "connected")
    step("detections and commands flow", lambda: None, "driving at")
    step("a person stands 0.4 m ahead", lambda: setattr(robot, "distance", 0.4), "motors off: mcu/stop")
    step("the person goes away", lambda: setattr(robot, "distance", 3.0), "driving at")
    step("perception fails: no more detections", lambda: setattr(robot, "seeing", False), "motors off: mcu/stop")
    step("perception is back", lambda: setattr(robot, "seeing", True), "driving at")
    step("the cable is pulled", lambda: mcu.tell("unplug"), "motors off: the host's heartbeat ceased")
    step("the cable is put back", lambda: mcu.tell("plug"), "driving at")
