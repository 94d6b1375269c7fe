"""One run: a detector process, a camera process, and a listener in this one."""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import rclpy
import yaml
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.experimental import EventsExecutor
from rclpy.node import Node
from vision_msgs.msg import Detection2DArray

from bench.report import percentile
from robot_ai.backends.registry import available
from robot_ai.cli.processes import NodeProcess, ProcessGroup
from robot_ai.ros.environment import image_transport_environment

SIZES = {"VGA": (640, 480), "720p": (1280, 720), "1080p": (1920, 1080)}
STARTUP_TIMEOUT = 60.0
# The stamp of a header that begins a message, behind the encapsulation of little-endian CDR.
HEADER_STAMP = struct.Struct("<4xiI")
# The detector reports once a second.
LAST_REPORT = 1.3
# Away from the domains of the tests, which may run at the same time.
_numbers = itertools.count(os.getpid())


@dataclass
class Run:
    """What one run measured. Latencies are in seconds, from the image's stamp to the detections' arrival here."""

    sent: int = 0
    latencies: list[float] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    arrivals: list[float] = field(default_factory=list)
    """Monotonic time of each arrival, in seconds."""
    others: float = 0.0
    """Share of the machine, 0 to 1, that processes which are not ours used meanwhile."""
    cpu: float = float("nan")
    """Cores that the detector's process kept busy meanwhile."""
    memory: list[tuple[int, float]] = field(default_factory=list)
    """(frames answered, resident MiB of the detector), once a second."""

    def percentile(self, percent: float) -> float:
        """A percentile of the latencies, in ms; NaN when there is none."""
        return percentile(self.latencies, percent) * 1e3

    def stage(self, name: str) -> float:
        """A stage's median in ms, from /diagnostics."""
        return float(self.values.get(f"{name} p50 (ms)", "nan"))


class OtherLoad:
    """What processes outside this benchmark take of the machine: a number is only worth something beside it."""

    def __init__(self) -> None:
        self._busy, self._total, self._ours = self._sample()

    def share(self) -> float:
        """Their share of all cores' time since the beginning."""
        busy, total, ours = self._sample()
        elapsed = max(total - self._total, 1e-9)
        return max(0.0, busy - self._busy - (ours - self._ours)) / elapsed

    @staticmethod
    def _sample() -> tuple[float, float, float]:
        times = psutil.cpu_times()
        idle = times.idle + times.iowait
        total = times.user + times.nice + times.system + times.irq + times.softirq + times.steal + idle
        ended = os.times()
        # Children that have ended are in this process's own account.
        ours = ended.user + ended.system + ended.children_user + ended.children_system
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                spent = child.cpu_times()
                ours += spent.user + spent.system
        return total - idle, total, ours


@dataclass(frozen=True)
class Namespaced(NodeProcess):
    """A node in a namespace: whoever else uses the domain neither hears nor disturbs a run."""

    namespace: str = "/"

    @property
    def command(self) -> list[str]:
        """The command line."""
        return [*super().command, "-r", f"__ns:={self.namespace}"]


class Listener(Node):
    """Notes when detections arrive."""

    def __init__(self, context: Context, run: Run, namespace: str, answer: type) -> None:
        super().__init__("bench_listener", context=context, use_global_arguments=False, namespace=namespace)
        self._run = run
        self._prefix = namespace.lstrip("/")
        # Raw: how long Python takes to build the message is the listener's affair.
        self.create_subscription(answer, "detections", self._on_detections, 50, raw=True)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_detections(self, serialized: bytes) -> None:
        arrived = time.time()
        sec, nanosec = HEADER_STAMP.unpack_from(serialized)
        self._run.latencies.append(arrived - sec - nanosec * 1e-9)
        self._run.arrivals.append(time.monotonic())

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            if "frames received" in values and status.name.startswith(self._prefix):
                self._run.values = values


def measure(
    detector: NodeProcess,
    camera: Sequence[str],
    *,
    profile: bool = True,
    frames: int = 150,
    source: str = "bench.camera",
    answer: type = Detection2DArray,
) -> Run:
    """Runs one detector, which sends `answer`s, against one camera, or another `source`, to its end.

    `profile` gives both the shared-memory environment.
    """
    number = next(_numbers)
    namespace, domain = f"/bench_{os.getpid()}_{number}", str(number % 20 + 70)
    detector = Namespaced(detector.name, detector.module, detector.parameters, namespace)
    environment = {"ROS_DOMAIN_ID": domain, "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    if profile:
        environment |= image_transport_environment()
    run = Run(sent=frames)
    context = Context()
    rclpy.init(context=context, domain_id=int(domain))
    listener = Listener(context, run, namespace, answer)
    executor = EventsExecutor(context=context)
    executor.add_node(listener)
    with tempfile.TemporaryDirectory() as folder, ProcessGroup([detector], Path(folder), environment) as group:
        _wait_for_detector(executor, group, detector, run)
        load = OtherLoad()
        command = [sys.executable, "-m", source, "--namespace", namespace, "--frames", str(frames), *camera]
        with subprocess.Popen(command, env={**os.environ, **environment}) as process:
            resident = resident_process(detector)
            began, before = time.monotonic(), resident.cpu_times()
            _listen(executor, process, run, resident)
            after = resident.cpu_times()
            run.cpu = (after.user + after.system - before.user - before.system) / (time.monotonic() - began)
        run.others = load.share()
        _spin(executor, LAST_REPORT)
    executor.shutdown()
    listener.destroy_node()
    rclpy.try_shutdown(context=context)
    return run


def _wait_for_detector(executor: EventsExecutor, group: ProcessGroup, detector: NodeProcess, run: Run) -> None:
    deadline = time.monotonic() + STARTUP_TIMEOUT
    while not run.values:
        executor.spin_once(timeout_sec=0.1)
        if group.ended() or time.monotonic() > deadline:
            raise SystemExit(f"{detector.name} did not start:\n{group.log_file(detector.name).read_text()}")


def _listen(executor: EventsExecutor, camera: subprocess.Popen[bytes], run: Run, detector: psutil.Process) -> None:
    sampled = 0.0
    while camera.poll() is None:
        executor.spin_once(timeout_sec=0.05)
        if time.monotonic() - sampled > 1.0:
            sampled = time.monotonic()
            run.memory.append((len(run.latencies), detector.memory_info().rss / 2**20))


def _spin(executor: EventsExecutor, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.05)


def resident_process(detector: NodeProcess) -> psutil.Process:
    """The node's process, of those below this one."""
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


def frameworks() -> list[str]:
    """The frameworks installed here, of those that run the default model."""
    return [backend.name for backend in available() if backend.installed and backend.name in ("pytorch", "tensorflow")]
