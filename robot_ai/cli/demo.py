"""`robot_ai demo`: a robot in a simulated world, without launch: the nodes of simulation.launch.py as processes."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions

from robot_ai.bringup.table import SIMULATION, SIMULATOR, Member
from robot_ai.cli.demo_drive import FILM_RATE, Drive
from robot_ai.cli.demo_mcu import McuProcess
from robot_ai.cli.processes import ProcessGroup
from robot_ai.ros.environment import image_transport_environment
from robot_ai.share import share_file
from robot_ai.viewing.pictures import Film

# The simulated robot drives by what its microcontroller lets through.
MOTORS = {"motors": "mcu/motors"}
SETTINGS = "config/demo.yaml"
FRAMEWORKS = {"pytorch": "torch", "tensorflow": "tensorflow", "onnx": "onnxruntime", "litert": "ai_edge_litert"}


@dataclass(frozen=True)
class VerbProcess:
    """A verb of this command as a process."""

    name: str
    words: Sequence[str]

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "robot_ai.cli.main", *self.words]


@dataclass(frozen=True)
class MemberProcess:
    """A node of the table as a process."""

    member: Member
    parameters: dict[str, Any]

    @property
    def name(self) -> str:
        """The node's name."""
        return self.member.executable.name

    @property
    def command(self) -> list[str]:
        """The command line: what launch would give the node."""
        arguments = self.member.ros_arguments(
            names=MOTORS, parameters=self.parameters, params_files=[share_file(SETTINGS)]
        )
        return [sys.executable, "-m", self.member.executable.module, *arguments]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--duration", type=float, default=60.0, help="seconds to drive (60)")
    parser.add_argument("--backend", default="pytorch", help="pytorch, tensorflow, … (pytorch)")
    parser.add_argument("--swap-to", help="backend to swap to half way; none: no swap (another one that is installed)")
    parser.add_argument("--world", default="room", help="a world: its name in worlds/ or an SDF file (room)")
    parser.add_argument("--seed", type=int, default=1, help="of the sensors' noise (1)")
    parser.add_argument("--renderer", default="auto", help="egl, osmesa, rays or auto: the best that works (auto)")
    parser.add_argument("--headless", action="store_true", help="serve no viewer")
    parser.add_argument("--view-port", type=int, default=9090, help="of the viewer in the browser (9090)")
    parser.add_argument("--record", action="store_true", help="record all topics into OUTPUT/bag (MCAP)")
    parser.add_argument("--output", type=Path, default=Path("out/demo"), help="folder for pictures and logs (out/demo)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds that the start may take (120)")


def run(args: argparse.Namespace) -> int:
    """Runs the demo; 0 when persons were detected."""
    # A domain of its own, unless one was chosen: the demo must not talk to a robot on this network.
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    args.output.mkdir(parents=True, exist_ok=True)
    port = (args.output / "serial").absolute()
    nodes = member_processes(args, port)
    helpers = helper_processes(args)
    print(f"Starting {', '.join(node.name for node in nodes)} and a simulated microcontroller", flush=True)
    print(f"in ROS_DOMAIN_ID={os.environ['ROS_DOMAIN_ID']}, where other ROS tools may listen …", flush=True)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        with ExitStack() as stack:
            # The MCU offers the serial port that the bridge opens; both end before the pictures are written.
            stack.enter_context(McuProcess(port, args.output / "mcu.log"))
            environment = image_transport_environment() | {"PYTHONUNBUFFERED": "1"}
            group = stack.enter_context(ProcessGroup([*nodes, *helpers], args.output / "log", environment))
            film = stack.enter_context(Film(args.output / "drive.mp4", FILM_RATE))
            drive = Drive(args.backend, group, film)
            stack.callback(drive.close)
            drive.start(args.timeout)
            drive.go_on(args.duration, swap_target(args))
    finally:
        rclpy.try_shutdown()
    return drive.report(args.output)


def member_processes(args: argparse.Namespace, port: Path) -> list[MemberProcess]:
    """The table's nodes with what this run chooses."""
    target = swap_target(args)
    chosen: dict[str, dict[str, Any]] = {
        "simulator": {"world": args.world, "seed": args.seed, "renderer": args.renderer},
        # With both cores busy the load of a framework would cost frames.
        "camera_detector": {"backend": args.backend} | ({"preload_backends": [target]} if target else {}),
        "micro_ros_bridge": {"serial_ports": [str(port)], "udp_port": 0},
    }
    return [
        MemberProcess(member, {"use_sim_time": member is not SIMULATOR, **chosen.get(member.executable.name, {})})
        for member in SIMULATION
    ]


def helper_processes(args: argparse.Namespace) -> list[VerbProcess]:
    """Who looks on: a viewer where Rerun is installed, and a recorder when one is asked for."""
    helpers = []
    if find_spec("rerun"):
        port = 0 if args.headless else args.view_port
        words = ["view", "--recording", str(args.output / "drive.rrd"), "--port", str(port)]
        helpers.append(VerbProcess("view", words))
        if port:
            print(f"Look on at http://localhost:{port}/?url=rerun%2Bhttp://localhost:9876/proxy", flush=True)
    if args.record:
        bag = args.output / "bag"
        shutil.rmtree(bag, ignore_errors=True)
        helpers.append(VerbProcess("record", ["record", str(bag)]))
    return helpers


def swap_target(args: argparse.Namespace) -> str:
    """The backend to swap to half way; empty for no swap."""
    target: str = args.swap_to or other_framework(args.backend)
    return "" if target == "none" else target


def other_framework(backend: str) -> str:
    """Another backend whose framework is installed; empty when there is none."""
    return next((name for name, module in FRAMEWORKS.items() if name != backend and find_spec(module)), "")
