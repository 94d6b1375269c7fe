"""One case of the benchmark, in a process of its own: python -m robot_ai.model_tool.benchmark_case CASE, as JSON.

The result is the last line of stdout, as JSON too. A process of its own, because frameworks take their thread count
once per process, keep memory when a model is closed, and slow each other down.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.loading import BackendChoice, LoadedModel
from robot_ai.errors import RobotAIError
from robot_ai.lidar.cluster_detector import ClusterSettings
from robot_ai.lidar.files import read_points
from robot_ai.lidar.pillar_detector import PillarDetector
from robot_ai.model_tool.clouds import sample_cloud
from robot_ai.models.artifacts import backend_of
from robot_ai.models.card import LIDAR_TASK, ModelCard
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector

WARM_UP_PASSES = 5
LEAST_PASSES = 10
PROFILED_PASSES = 5
IMAGE_SIZE = (640, 480)  # width, height: what most cameras of small robots give
Pass = Callable[[], dict[str, float]]
"""Detects once; the seconds of each stage."""


@dataclass(frozen=True)
class Case:
    """What is measured. sample: an image's file, resized to 640x480, or a cloud's for a lidar's model; empty for a
    drawn image, or a simulated cloud. profile: a directory, or empty.
    """

    model: str
    key: str
    threads: int
    seconds: float
    sample: str = ""
    profile: str = ""


@dataclass(frozen=True)
class Measurement:
    """What a case gave. Times in milliseconds, memory in MiB; `fault` says why there is none.

    load_seconds: from nothing to a warm, verified model, the framework's import included. forward, end_to_end: of each
    pass, in order; end_to_end adds preprocess and postprocess. cpu_ms: processor time of all threads per pass.
    memory_mib: resident after the passes, beyond what the process had before it loaded. peak_mib: the process' peak.
    """

    key: str
    threads: int
    precision: str = ""
    device: str = ""
    load_seconds: float = 0.0
    forward_ms: tuple[float, ...] = ()
    end_to_end_ms: tuple[float, ...] = ()
    cpu_ms: float = 0.0
    memory_mib: float = 0.0
    peak_mib: float = 0.0
    profile: str = ""
    fault: str = ""

    def percentile(self, stage: str, percent: float) -> float:
        """A percentile in milliseconds of `forward` or `end_to_end`."""
        return float(np.percentile(getattr(self, f"{stage}_ms"), percent))

    @property
    def throughput(self) -> float:
        """Images per second, one after the other, end to end."""
        return 1e3 * len(self.end_to_end_ms) / sum(self.end_to_end_ms)


def measure(case: Case) -> Measurement:
    """Loads the artifact and runs it for `case.seconds`. Raises what loading and inference raise."""
    load = _of_clouds if ModelCard.load(case.model, backends=()).task == LIDAR_TASK else _of_images
    make = load(case)
    before = _resident_mib()
    started = time.perf_counter()
    detector, detect = make()
    load_seconds = time.perf_counter() - started
    forward: list[float] = []
    end_to_end: list[float] = []
    for _ in range(WARM_UP_PASSES):
        detect()
    cpu, started = time.process_time(), time.perf_counter()
    while len(forward) < LEAST_PASSES or time.perf_counter() - started < case.seconds:
        durations = detect()
        forward.append(durations["forward"] * 1e3)
        end_to_end.append(sum(durations.values()) * 1e3)
    cpu = time.process_time() - cpu
    memory = _resident_mib() - before
    profile = _profile(detect, case) if case.profile else ""
    result = Measurement(
        case.key,
        case.threads,
        detector.card.artifact_for(backend_of(case.key)).precision,
        detector.device,
        load_seconds,
        tuple(forward),
        tuple(end_to_end),
        cpu * 1e3 / len(forward),
        memory,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        profile,
    )
    detector.close()
    return result


def _of_images(case: Case) -> Callable[[], tuple[LoadedModel, Pass]]:
    """What loads a model for images, once the image is read; a pass is the whole way from image to boxes."""
    image = _image(case.sample)

    def load() -> tuple[LoadedModel, Pass]:
        detector = ImageDetector.load(_choice(case))
        return detector, lambda: detector.detect([image], DetectionSettings()).durations

    return load


def _of_clouds(case: Case) -> Callable[[], tuple[LoadedModel, Pass]]:
    """As `_of_images`, of a model for lidar clouds; obstacles included."""
    points = read_points(Path(case.sample)) if case.sample else sample_cloud()

    def load() -> tuple[LoadedModel, Pass]:
        detector = PillarDetector.load(_choice(case))
        return detector, lambda: detector.detect(points, ClusterSettings()).durations

    return load


def _choice(case: Case) -> BackendChoice:
    return BackendChoice(case.model, case.key, threads=case.threads)


def _image(photo: str) -> NDArray[np.uint8]:
    read = cv2.imread(photo, cv2.IMREAD_COLOR) if photo else None
    if read is None:
        ramp = np.linspace(0, 255, IMAGE_SIZE[0], dtype=np.uint8)
        read = np.broadcast_to(ramp[:, np.newaxis], (IMAGE_SIZE[1], IMAGE_SIZE[0], 3)).copy()
        cv2.circle(read, (IMAGE_SIZE[0] // 2, IMAGE_SIZE[1] // 2), 100, (255, 255, 255), -1)
    resized: NDArray[np.uint8] = cv2.resize(read, IMAGE_SIZE, interpolation=cv2.INTER_AREA)
    return resized


def _resident_mib() -> float:
    """The memory of this process that is in RAM now; Linux's /proc, elsewhere the peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


def _profile(detect: Pass, case: Case) -> str:
    """Runs a few passes under the framework's own profiler; the name of the profiler, empty where there is none."""
    profilers = {"torch": _torch_profiler, "tensorflow": _tensorflow_profiler}
    module = {"pytorch": "torch", "tensorflow": "tensorflow"}.get(backend_of(case.key), "")
    if module not in profilers:
        return ""
    with profilers[module](case.profile):
        for _ in range(PROFILED_PASSES):
            detect()
    return module


@contextlib.contextmanager
def _torch_profiler(directory: str) -> Iterator[None]:
    from torch import profiler

    handler = profiler.tensorboard_trace_handler(directory)
    with profiler.profile(
        activities=[profiler.ProfilerActivity.CPU], on_trace_ready=handler, record_shapes=True, profile_memory=True
    ):
        yield


@contextlib.contextmanager
def _tensorflow_profiler(directory: str) -> Iterator[None]:
    import tensorflow as tf

    tf.profiler.experimental.start(directory)
    try:
        yield
    finally:
        tf.profiler.experimental.stop()


def main(argument: str) -> int:
    """Measures the case and prints the result."""
    case = Case(**json.loads(argument))
    # What frameworks print must not stand between the result's lines.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            result = measure(case)
        except RobotAIError as error:
            result = Measurement(case.key, case.threads, fault=str(error))
    sys.stdout.write(json.dumps(asdict(result)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
