"""How near a simulated robot comes to a person when it is told to drive on: runs with seeds, over the real nodes.

python -m bench.stops --runs 20 [--json FILE]

No driver takes part. Somebody who does not look commands 0.5 m/s straight at a person; what stops the robot is the
bridge's watchdog, over what camera, lidar and fusion found, and the microcontroller. The gap is from the robot's
outline to the person's box by the simulator's ground truth.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from vision_msgs.msg import Detection3DArray

from robot_ai.cli.demo import member_processes
from robot_ai.cli.demo_mcu import McuProcess
from robot_ai.cli.demo_stops import STANDING, outline_gap
from robot_ai.cli.processes import ProcessGroup
from robot_ai.geometry.errors import TransformError
from robot_ai.pipeline.cloud_detector import into_frame
from robot_ai.ros.detections_3d import from_detection_3d_array
from robot_ai.ros.environment import image_transport_environment
from robot_ai.ros.stamps import stamp_of
from robot_ai.ros.transforms import open_transforms

# In worlds/room.sdf, and the directions in which the floor around him is free.
NAME, PERSON, SIDES = "man_jacket", np.array([-2.7, -2.4]), (0.7, 2.4)
SPEED = 0.5
# It stands once it has been slow for so long of its own time.
STOOD = 2.0


@dataclass
class Outcome:
    """Of one run: the least gap and the fastest that was driven, in meters and per second; whether it came to a stand
    after it had driven; simulated over real time meanwhile."""

    seed: int
    gap: float
    fastest: float
    stood: bool
    real_time_factor: float


class Reckless(Node):
    """Commands, and measures against the truth."""

    def __init__(self) -> None:
        super().__init__("reckless")
        self.gap = math.inf
        self.speed = self.fastest = 0.0
        self.moved_at = math.inf
        self._times: list[tuple[float, float]] = []
        self._transforms = open_transforms(self)
        self._commands = self.create_publisher(Twist, "cmd_vel", 1)
        self.create_subscription(Odometry, "odom", self._on_odometry, QoSProfile(depth=5))
        self.create_subscription(Detection3DArray, "ground_truth/detections_3d", self._on_truth, QoSProfile(depth=5))
        self.create_timer(0.05, self._tick)

    def _tick(self) -> None:
        command = Twist()
        command.linear.x = SPEED
        self._commands.publish(command)

    @property
    def stood(self) -> float:
        """Seconds of simulated time since it moved; minus infinity before."""
        return self._times[-1][0] - self.moved_at if self._times else -math.inf

    @property
    def real_time_factor(self) -> float:
        """Simulated over real time since odometry came."""
        if not self._times:
            return math.nan
        (simulated, real), (simulated_now, real_now) = self._times[0], self._times[-1]
        return (simulated_now - simulated) / max(real_now - real, 1e-9)

    def _on_odometry(self, message: Any) -> None:
        self._times.append((stamp_of(message) / 1e9, time.monotonic()))
        self.speed = float(message.twist.twist.linear.x)
        self.fastest = max(self.fastest, self.speed)
        if self.speed > STANDING:
            self.moved_at = self._times[-1][0]

    def _on_truth(self, message: Any) -> None:
        try:
            way = self._transforms.lookup("base_link", message.header.frame_id, 0, 0.5)
        except TransformError:
            # Where the sensors sit is heard a moment after they have begun to measure; the robot stands until then.
            return
        boxes = into_frame(from_detection_3d_array(message), way)
        for detection, corners in zip(message.detections, boxes.corners(), strict=True):
            if detection.id == NAME:
                self.gap = min(self.gap, outline_gap(corners[:4, :2]))


def one(seed: int, renderer: str, folder: Path, patience: float) -> Outcome:
    """One run, in processes of its own."""
    rng = np.random.default_rng(seed)
    side, away, off = rng.uniform(*SIDES), rng.uniform(1.9, 2.3), rng.uniform(-0.12, 0.12)
    x, y = PERSON + away * np.array([math.cos(side), math.sin(side)])
    heading = side + math.pi + math.atan2(off, away)
    chosen = argparse.Namespace(world="room", seed=seed, renderer=renderer, backend="pytorch", swap_to="none")
    port = folder / "serial"
    nodes = [node for node in member_processes(chosen, port) if node.name != "follow_and_avoid"]
    nodes[0].parameters["robot_pose"] = f"{x:.3f} {y:.3f} {heading:.4f}"
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    reckless = Reckless()
    try:
        with ExitStack() as stack:
            stack.enter_context(McuProcess(port, folder / "mcu.log"))
            stack.enter_context(ProcessGroup(nodes, folder / "log", image_transport_environment()))
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline and reckless.stood < STOOD:
                rclpy.spin_once(reckless, timeout_sec=0.02)
    finally:
        reckless.destroy_node()
        rclpy.try_shutdown()
    stood = reckless.fastest > STANDING and abs(reckless.speed) < STANDING
    return Outcome(seed, reckless.gap, reckless.fastest, stood, reckless.real_time_factor)


def main() -> int:
    """Runs all; 0 when every run came to a stand at least half a meter away."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--renderer", default="auto", help="egl, osmesa, rays or auto")
    parser.add_argument("--timeout", type=float, default=90.0, help="seconds that one run may take (90)")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    outcomes = []
    for seed in range(args.first_seed, args.first_seed + args.runs):
        with tempfile.TemporaryDirectory() as folder:
            outcome = one(seed, args.renderer, Path(folder), args.timeout)
        outcomes.append(outcome)
        print(
            f"seed {seed:>3}: gap {outcome.gap:.2f} m, fastest {outcome.fastest:.2f} m/s, "
            f"{'stood' if outcome.stood else 'did not drive and stop'}, {outcome.real_time_factor:.2f} of real time",
            flush=True,
        )
        if args.json:
            args.json.write_text(json.dumps([vars(each) for each in outcomes], indent=2), encoding="utf-8")
    good = sum(outcome.stood and outcome.gap >= 0.5 for outcome in outcomes)
    print(f"{good} of {len(outcomes)} runs stopped at least 0.5 m before the person")
    return 0 if good == len(outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
