"""`robot_ai demo-photos`: photos through the real nodes, each in a process of its own, over DDS."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import rclpy
from rclpy.signals import SignalHandlerOptions

from robot_ai.cli.demo_photos_listener import DemoListener, Sighting
from robot_ai.cli.processes import NodeProcess, ProcessGroup
from robot_ai.errors import RobotAIError, pip_install
from robot_ai.ros.environment import image_transport_environment
from robot_ai.viewing.pictures import contact_sheet

# Photos that ship inside PyPI packages, by package and path, so that the demo downloads nothing of its own.
PHOTOS = {
    "astronaut.png": ("skimage", "data/astronaut.png"),
    "coffee.png": ("skimage", "data/coffee.png"),
    "motorcycle.png": ("skimage", "data/motorcycle_left.png"),
    "photographer.png": ("skimage", "data/camera.png"),
    "temple.jpg": ("sklearn", "datasets/images/china.jpg"),
}
ROUNDS = 5
"""How often each photo is shown, for latencies that mean something."""


class DemoError(RobotAIError):
    """The demo cannot show what it is for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the verb's arguments."""
    parser.add_argument("--backend", default="pytorch", help="pytorch or tensorflow")
    parser.add_argument("--model", default="nanodet_g", help="model card: a name in models/ or a directory")
    parser.add_argument("--photos", type=Path, help="a folder of your own photos")
    parser.add_argument(
        "--output", type=Path, default=Path("out/demo-photos"), help="where the annotated photos go (out/demo-photos)"
    )
    parser.add_argument("--rate", type=float, default=5.0, help="photos per second (5)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds after which it gives up (120)")


def run(args: argparse.Namespace) -> int:
    """Runs the demo; 0 when something was detected."""
    photos = args.photos or collect_photos(args.output / "photos")
    names = sorted(path.name for path in photos.iterdir() if path.is_file())
    # A domain of its own, unless one was chosen: the demo must not talk to a robot on this network.
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    nodes = [
        NodeProcess(
            "image_source",
            "robot_ai.nodes.image_source",
            {"source": photos.resolve(), "rate": args.rate, "wait_for_subscriber": True},
        ),
        NodeProcess(
            "camera_detector", "robot_ai.nodes.camera_detector", {"backend": args.backend, "model": args.model}
        ),
    ]
    print(
        f"Starting image_source ({len(names)} photos) and camera_detector ({args.model} in {args.backend}) …",
        flush=True,
    )
    with ProcessGroup(nodes, args.output / "log", image_transport_environment()) as group:
        sightings, diagnostics = _watch(group, names, args.timeout)
    _write_pictures(sightings, args.output)
    _print_report(sightings, diagnostics, args.output)
    return 0 if any(sighting.found for sighting in sightings.values()) else 1


def collect_photos(directory: Path) -> Path:
    """Copies the photos out of the installed packages. Raises DemoError when there are none."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, (package, path) in PHOTOS.items():
        spec = find_spec(package)
        if spec is not None and spec.origin and (file := Path(spec.origin).parent / path).is_file():
            shutil.copyfile(file, directory / name)
    if not any(directory.iterdir()):
        raise DemoError(f"no photos: install them with {pip_install('demo')}, or give your own with --photos DIR")
    return directory


def _watch(group: ProcessGroup, names: list[str], timeout: float) -> tuple[dict[str, Sighting], dict[str, str]]:
    """Listens until every photo was answered ROUNDS times. Raises DemoError when a node ends or time is up."""
    # With rclpy's own handlers a Ctrl-C ends the context, not the program.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    listener = DemoListener(names)
    try:
        deadline = time.monotonic() + timeout
        while not (listener.complete(ROUNDS) and listener.diagnostics):
            rclpy.spin_once(listener, timeout_sec=0.1)
            for name, code in group.ended().items():
                raise DemoError(f"{name} ended with exit code {code}:\n{group.tail(name)}")
            if listener.fault:
                raise DemoError(f"camera_detector reports: {listener.fault}")
            if time.monotonic() > deadline:
                logs = "\n".join(group.tail(name) for name in ("image_source", "camera_detector"))
                raise DemoError(f"no answer to every photo within {timeout:.0f} s; the nodes said:\n{logs}")
        return listener.sightings, listener.diagnostics
    finally:
        listener.destroy_node()
        rclpy.try_shutdown()


def _write_pictures(sightings: dict[str, Sighting], output: Path) -> None:
    for name, sighting in sightings.items():
        if sighting.drawn is not None:
            cv2.imwrite(str(output / f"{Path(name).stem}_detections.png"), sighting.drawn)
    drawn = [sighting.drawn for sighting in sightings.values() if sighting.drawn is not None]
    if drawn:
        cv2.imwrite(str(output / "overview.png"), contact_sheet(drawn))


def _print_report(sightings: dict[str, Sighting], diagnostics: dict[str, str], output: Path) -> None:
    print("\nDetections")
    for name, sighting in sightings.items():
        print(f"  {name:<20} {', '.join(sighting.found) or 'nothing'}")
    print("\nLatency of each stage (ms)       p50      p95")
    for key, value in diagnostics.items():
        if key.endswith("p50 (ms)"):
            stage = key.removesuffix(" p50 (ms)")
            print(f"  {stage:<26}{float(value):>8.2f} {float(diagnostics[f'{stage} p95 (ms)']):>8.2f}")
    print("\nFrame ledger")
    ledger: dict[str, Any] = {key: value for key, value in diagnostics.items() if key.startswith("frames")}
    for key, value in ledger.items():
        print(f"  {key.removeprefix('frames '):<26}{value:>8}")
    print(f"\nAnnotated photos: {output.resolve()} (all in one: overview.png)")
