"""One run: a detector process, a camera process, and a listener in this one."""

from __future__ import annotations

import itertools
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import numpy as np
import psutil
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from vision_msgs.msg import Detection2DArray

from robot_ai.cli.processes import NodeProcess, ProcessGroup
from robot_ai.ros.environment import image_transport_environment

SIZES = {"VGA": (640, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
STARTUP_TIMEOUT = 60.0
_domains = itertools.count(os.getpid())


@dataclass
class Run:
    """What one run measured. Latencies are in seconds, from the image's stamp to the detections' arrival here."""

    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    memory: list[tuple[int, float]] = field(default_factory=list)
    """(frames answered, resident MiB of the detector), once a second."""

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, in ms; NaN when there is none."""
        return float(np.percentile(self.latencies, percent)) * 1e3 if self.latencies else float("nan")

    def stage(self, name: str) -> float:
        """A stage's median in ms, from /diagnostics."""
        return float(self.values.get(f"{name} p50 (ms)", "nan"))


class Listener(Node):
    """Notes when detections arrive."""

    def __init__(self, context: Context, run: Run) -> None:
        super().__init__("bench_listener", context=context, use_global_arguments=False)
        self._run = run
        self.create_subscription(Detection2DArray, "detections", self._on_detections, 50)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_detections(self, message: Detection2DArray) -> None:
        stamp = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        self._run.latencies.append(time.time() - stamp)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            if "frames received" in values:
                self._run.values = values


def measure(detector: NodeProcess, camera: Sequence[str], *, profile: bool = True, frames: int = 150) -> Run:
    """Runs one detector against one camera to the camera's end; `profile` gives both the shared-memory environment."""
    domain = str(next(_domains) % 100 + 1)
    environment = {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if profile:
        environment |= image_transport_environment()
    run = Run(sent=frames)
    context = Context()
    rclpy.init(context=context, domain_id=int(domain))
    listener = Listener(context, run)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(listener)
    with tempfile.TemporaryDirectory() as folder, ProcessGroup([detector], Path(folder), environment) as group:
        _wait_for_detector(executor, group, detector, run)
        started = time.monotonic()
        command = [sys.executable, "-m", "bench.camera", "--frames", str(frames), *camera]
        with subprocess.Popen(command, env={**os.environ, **environment}) as process:
            _listen(executor, process, run, _resident_process(detector))
        run.seconds = time.monotonic() - started
        _spin(executor, 1.5)
    executor.shutdown()
    listener.destroy_node()
    rclpy.try_shutdown(context=context)
    return run


def _wait_for_detector(executor: SingleThreadedExecutor, group: ProcessGroup, detector: NodeProcess, run: Run) -> None:
    deadline = time.monotonic() + STARTUP_TIMEOUT
    while not run.values:
        executor.spin_once(timeout_sec=0.1)
        if group.ended() or time.monotonic() > deadline:
            raise SystemExit(f"{detector.name} did not start:\n{group.log_file(detector.name).read_text()}")


def _listen(
    executor: SingleThreadedExecutor, camera: subprocess.Popen[bytes], run: Run, detector: psutil.Process
) -> None:
    sampled = 0.0
    while camera.poll() is None:
        executor.spin_once(timeout_sec=0.05)
        if time.monotonic() - sampled > 1.0:
            sampled = time.monotonic()
            run.memory.append((len(run.latencies), detector.memory_info().rss / 2**20))


def _spin(executor: SingleThreadedExecutor, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)


def _resident_process(detector: NodeProcess) -> psutil.Process:
    children = psutil.Process().children(recursive=True)
    return max((c for c in children if detector.module in " ".join(c.cmdline())), key=lambda c: c.memory_info().rss)


def detector(backend: str, model: str = "nanodet_g", **parameters: object) -> NodeProcess:
    """The node under test."""
    return NodeProcess(
        "camera_detector", "robot_ai.nodes.camera_detector", {"backend": backend, "model": model, **parameters}
    )


def stub_model(folder: Path) -> str:
    """Writes the card of a model that costs next to nothing: NanoDet's input, the brightest box as output."""
    image = {"name": "image", "height": 416, "width": 416, "layout": "NHWC", "dtype": "float32", "color": "bgr"}
    card = {
        "name": "light",
        "version": "1",
        "task": "detection",
        "license": "Apache-2.0",
        "source": "made by the benchmarks",
        "labels": ["bright"],
        "inputs": [{**image, "mean": [0, 0, 0], "std": [1, 1, 1], "resize": "stretch"}],
        "outputs": [
            {"name": "boxes", "shape": ["batch", 4, 4], "dtype": "float32"},
            {"name": "scores", "shape": ["batch", 4, 1], "dtype": "float32"},
        ],
        "decoder": {"type": "boxes"},
        "thresholds": {"confidence": 0.3, "iou": 0.6, "max_detections": 10},
        "artifacts": {"stub": {}},
    }
    (folder / "model.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return str(folder)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def machine() -> str:
    """Processor, cores, Python and versions, in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    packages = ("numpy", "opencv-python-headless", "torch", "tensorflow-cpu", "ros-jazzy-rclpy")
    versions: Mapping[str, str] = {name: _version(name) for name in packages}
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {listed}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
