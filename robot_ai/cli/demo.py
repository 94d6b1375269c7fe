"""`robot_ai demo`: a robot in a simulated world, without launch: the nodes of simulation.launch.py as processes."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.experimental import EventsExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from robot_ai.bringup.table import CAMERA, SIMULATION, SIMULATOR, Member, default_name
from robot_ai.cli.demo_mcu import McuProcess
from robot_ai.cli.demo_watch import DemoWatch
from robot_ai.cli.processes import ProcessGroup
from robot_ai.errors import RobotAIError
from robot_ai.evaluation.report import as_plain, as_text, table_2d, table_3d
from robot_ai.ros.environment import image_transport_environment
from robot_ai.share import share_file
from robot_ai.viewing.pictures import Film, Moment, compose, contact_sheet

# The simulated robot drives by what its microcontroller lets through.
MOTORS = {"motors": "mcu/motors"}
SETTINGS = "config/demo.yaml"
FRAMEWORKS = {"pytorch": "torch", "tensorflow": "tensorflow", "onnx": "onnxruntime", "litert": "ai_edge_litert"}
_TICK = 0.02
_LINE_PERIODS = {True: 0.5, False: 5.0}
_FILM_RATE = 5.0
_SHEET = 6
# After a swap a frame may be as late as this, in seconds.
_SETTLE = 1.0
# A framework takes long to load beside all else; the drive goes on for it, but no longer than this, in seconds.
_SWAP_PATIENCE = 60.0


class DemoError(RobotAIError):
    """The demo cannot show what it is for."""


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
            mcu = stack.enter_context(McuProcess(port, args.output / "mcu.log"))
            environment = image_transport_environment() | {"PYTHONUNBUFFERED": "1"}
            group = stack.enter_context(ProcessGroup([*nodes, *helpers], args.output / "log", environment))
            film = stack.enter_context(Film(args.output / "drive.mp4", _FILM_RATE))
            drive = Drive(args, group, mcu, film)
            stack.callback(drive.close)
            drive.start()
            drive.go_on()
    finally:
        rclpy.try_shutdown()
    return drive.report()


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


class Drive:
    """One run: waits for the start, watches, swaps once, draws, and says how it was."""

    def __init__(self, args: argparse.Namespace, group: ProcessGroup, mcu: McuProcess, film: Film) -> None:
        self._args = args
        self._group = group
        self._mcu = mcu
        self._film = film
        self._sheet: list[Any] = []
        self._next_frame = 0.0
        self._terminal = sys.stdout.isatty()
        self._next_line = 0.0
        self._began = time.monotonic()
        self._swap: Future | None = None
        self._swap_began = self._swap_ended = math.nan
        self._swap_result = ""
        topics = {key: default_name(key) for key in ("image", "points", "detections_2d", "detections_fused")}
        topics["vision_info"] = default_name(CAMERA.topics["vision_info"])
        self._watch = DemoWatch(topics, self._draw)
        self._executor = EventsExecutor()
        self._executor.add_node(self._watch)
        self._client = self._watch.create_client(SetParameters, f"{CAMERA.executable.name}/set_parameters")

    def start(self) -> None:
        """Waits until detections flow. Raises DemoError when a node ends, reports a fault, or time is up."""
        deadline = time.monotonic() + self._args.timeout
        while not self._watch.running:
            self._spin()
            for status, fault in self._watch.faults.items():
                if self._watch.value(status, "state") == "unconfigured":
                    raise DemoError(f"{status.partition(':')[0]}: {fault}")
            if time.monotonic() > deadline:
                said = "\n".join(f"{m.executable.name}: {self._group.tail(m.executable.name, 3)}" for m in SIMULATION)
                raise DemoError(f"no detections within {self._args.timeout:.0f} s; the nodes said:\n{said}")
        print(f"Detections flow after {time.monotonic() - self._began:.1f} s.", flush=True)
        self._began = time.monotonic()
        # From before there is little to see.
        self._sheet.clear()

    def go_on(self) -> None:
        """Drives for as long as was asked for, or until a swap is through. Raises DemoError when a node ends."""
        target = swap_target(self._args)
        while (passed := time.monotonic() - self._began) < self._args.duration or (
            self._swapping and passed < self._args.duration + _SWAP_PATIENCE
        ):
            self._spin()
            if self._swap is None and target and passed > 0.4 * self._args.duration:
                self._ask_for(target)
            self._say()
        if self._terminal:
            print()

    @property
    def _swapping(self) -> bool:
        """Whether a swap was asked for that is not over, with what comes after it."""
        over = not math.isnan(self._swap_ended) and time.monotonic() > self._swap_ended + 2 * _SETTLE
        return self._swap is not None and not over

    def report(self) -> int:
        """Writes the sheet and the scores, prints the summary; the exit code."""
        watch, output = self._watch, self._args.output
        seen = {name: table_2d(scorer) for name, scorer in watch.scores.by_detector.items() if scorer.frames}
        placed = table_3d(watch.scores.space)
        swap = self._describe_swap()
        ledger = {
            key: value
            for key, value in watch.diagnostics.get(f"{CAMERA.executable.name}: camera", {}).items()
            if key.startswith("frames")
        }
        summary = {
            "2d": {name: as_plain(table) for name, table in seen.items()},
            "3d": as_plain(placed),
            "id switches": sum(scorer.identities.switches for scorer in watch.scores.by_detector.values()),
            "clear person recall": _number(watch.clear_recall("person")),
            "person range error (m)": _number(watch.scores.space.classes["person"].median_range_error),
            "real-time factor": _number(watch.real_time_factor),
            "images": len(watch.counts.shown),
            "images without an answer": watch.counts.lost(-math.inf, time.monotonic() - _SETTLE),
            "ledger": ledger,
            "swap": swap,
            "stops": watch.stops,
            "driven (m)": round(watch.distance_driven, 2),
        }
        (output / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
        if self._sheet:
            cv2.imwrite(str(output / "summary.png"), contact_sheet(_spread(self._sheet, _SHEET), 2, 360))
        for backend, table in seen.items():
            print(f"\nThe camera's detections by {backend} against the truth\n{as_text(table)}")
        print("\nThe fused detections against the truth, within 6 m\n" + as_text(placed))
        counted = (f"{key.removeprefix('frames ')} {count}" for key, count in ledger.items() if count != "0")
        print(f"\n  drove {watch.distance_driven:.1f} m at {watch.real_time_factor:.2f} of real time")
        print(f"  {watch.stops} stops by the watchdog and the microcontroller")
        print(f"  {summary['images']} images, {summary['images without an answer']} without an answer")
        print(f"  the camera detector's ledger: {', '.join(counted)}")
        if swap:
            print(f"  {swap['text']}")
        for name in ("summary.png", "drive.mp4", "summary.json"):
            print(f"  {(output / name).resolve()}")
        if not watch.persons_seen:
            print("\nNo person was detected.", file=sys.stderr)
        return 0 if watch.persons_seen else 1

    def close(self) -> None:
        """Stops listening."""
        self._executor.shutdown(timeout_sec=1.0)
        self._watch.destroy_node()

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=_TICK)
        for name, code in self._group.ended().items():
            raise DemoError(f"{name} ended with exit code {code}:\n{self._group.tail(name)}")
        if self._swap is not None and self._swap.done() and math.isnan(self._swap_ended):
            self._swap_ended = time.monotonic()
            (result,) = self._swap.result().results
            self._swap_result = "" if result.successful else result.reason

    def _ask_for(self, backend: str) -> None:
        request = SetParameters.Request(parameters=[Parameter("backend", value=backend).to_parameter_msg()])
        self._swap_began, self._target = time.monotonic(), backend
        self._swap = self._client.call_async(request)

    def _describe_swap(self) -> dict[str, Any]:
        if self._swap is None:
            return {}
        way = f"{self._args.backend} → {self._target}"
        if math.isnan(self._swap_ended):
            return {"text": f"swap {way}: not answered", "lost": None}
        if self._swap_result:
            return {"text": f"swap {way}: refused: {self._swap_result}", "lost": None}
        lost = self._watch.counts.lost(self._swap_began - 0.5, self._swap_ended + _SETTLE)
        took = self._swap_ended - self._swap_began
        return {
            "text": f"swap {way} while driving: {lost} images without an answer; ready after {took:.1f} s",
            "lost": lost,
            "seconds": round(took, 2),
        }

    def _draw(self, stamp: int, moment: Callable[[], Moment]) -> None:
        if stamp / 1e9 < self._next_frame:
            return
        self._next_frame = stamp / 1e9 + 1 / _FILM_RATE - 0.01
        caption = f"{stamp / 1e9:6.1f} s   {self._state()}"
        picture = compose(replace(moment(), caption=caption))
        self._film.add(picture)
        # Every second is enough to choose from.
        if self._film.frames % round(_FILM_RATE) == 1:
            self._sheet.append(picture)

    def _state(self) -> str:
        watch = self._watch
        mcu = "no word yet" if watch.stopped is None else "STOP" if watch.stopped else f"{watch.motors:.2f} m/s"
        backend = watch.value("camera_detector: model", "backend")
        mode = watch.value("follow_and_avoid: driver", "mode")
        return f"{backend}   {mode}   mcu {mcu}"

    def _say(self) -> None:
        now = time.monotonic()
        if now < self._next_line:
            return
        self._next_line = now + _LINE_PERIODS[self._terminal]
        watch = self._watch

        def rate(status: str) -> str:
            stages = ("preprocess", "forward", "postprocess", "cluster", "fuse")
            spent = sum(float(watch.value(status, f"{stage} p50 (ms)", "0")) for stage in stages)
            return f"{watch.value(status, 'output rate (Hz)')} Hz {spent:.0f} ms"

        person = watch.scores.image.classes["person"].recall
        line = (
            f"{now - self._began:5.1f} s  camera {rate('camera_detector: camera')}  lidar "
            f"{rate('lidar_detector: lidar')}  fused {rate('detection_fusion: fusion')}  {self._state()}  "
            f"person recall {person:.2f}  rtf {watch.real_time_factor:.2f}"
        )
        if self._terminal:
            print(f"\r{line[: _columns()]:<{_columns()}}", end="", flush=True)
        else:
            print(line, flush=True)


def swap_target(args: argparse.Namespace) -> str:
    """The backend to swap to half way; empty for no swap."""
    target: str = args.swap_to or other_framework(args.backend)
    return "" if target == "none" else target


def other_framework(backend: str) -> str:
    """Another backend whose framework is installed; empty when there is none."""
    return next((name for name, module in FRAMEWORKS.items() if name != backend and find_spec(module)), "")


def _spread(pictures: Sequence[Any], count: int) -> list[Any]:
    """`count` pictures, evenly over all of them."""
    places = {round(i * (len(pictures) - 1) / max(count - 1, 1)) for i in range(count)}
    return [pictures[place] for place in sorted(places)]


def _columns() -> int:
    return os.get_terminal_size().columns - 1


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
