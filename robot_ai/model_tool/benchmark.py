"""Speed and memory of every artifact of a card on this machine, and which one to pick."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from robot_ai.backends.openmp import let_threads_sleep
from robot_ai.backends.registry import available
from robot_ai.model_tool.benchmark_case import Case, Measurement
from robot_ai.model_tool.export.errors import ModelToolError, PhotosError
from robot_ai.model_tool.photos import sample_photos
from robot_ai.model_tool.verify import why_not
from robot_ai.models.card import LIDAR_TASK, ModelCard
from robot_ai.models.find import find_model

CASE_TIMEOUT = 600.0  # seconds; a framework that hangs must not hold the others up
# Cases this near to the fastest count as equally fast: repeated runs differ by as much.
SAME_SPEED = 1.1


class BenchmarkError(ModelToolError):
    """A benchmark without a single case that could be measured."""


@dataclass(frozen=True)
class Pick:
    """The case to use, and why."""

    key: str
    threads: int
    reason: str


@dataclass(frozen=True)
class BenchmarkReport:
    """All cases of one model on one machine. `not_run` tells, by artifact, why it was not measured."""

    model: str
    machine: dict[str, Any]
    cases: list[Measurement]
    not_run: dict[str, str]
    pick: Pick

    def to_json(self) -> str:
        """Everything, every single pass included."""
        content = asdict(self)
        for case, measured in zip(content["cases"], self.cases, strict=True):
            if not measured.fault:
                case["summary"] = summary(measured)
        return json.dumps(content, indent=1)


def summary(case: Measurement) -> dict[str, float]:
    """The numbers of one case as the table shows them."""
    stages = [(stage, percent) for stage in ("forward", "end_to_end") for percent in (50, 95)]
    return {f"{stage}_p{percent}_ms": round(case.percentile(stage, percent), 3) for stage, percent in stages} | {
        "images_per_second": round(case.throughput, 2),
        "load_seconds": round(case.load_seconds, 3),
        "cpu_ms": round(case.cpu_ms, 2),
        "memory_mib": round(case.memory_mib, 1),
    }


def parse_threads(text: str) -> list[int]:
    """Reads `1,2`. Raises BenchmarkError."""
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = [-1]
    if min(counts) < 0:
        raise BenchmarkError(f"--threads is '{text}'; expected numbers such as 1,2, with 0 for the framework's default")
    return list(dict.fromkeys(counts))


@dataclass(frozen=True)
class BenchmarkRequest:
    """What to measure. keys: artifacts, none for all. seconds: per case. sample: the photo, or for a lidar's model the
    cloud, to detect in; None for one that is at hand.

    profile: a directory into which frameworks write a profile, one folder per case.
    """

    model: str
    keys: Sequence[str] = ()
    threads: Sequence[int] = (0,)
    seconds: float = 5.0
    sample: Path | None = None
    profile: Path | None = None


def run_benchmark(request: BenchmarkRequest, say: Callable[[str], None]) -> BenchmarkReport:
    """Measures every artifact with every thread count, each in a process of its own.

    Raises NoArtifactError for a key that the card has not, BenchmarkError when no case could be measured.
    """
    directory = find_model(request.model)
    card = ModelCard.load(directory, backends=())
    for key in request.keys:
        card.artifact_for(key)
    backends = {info.name: info for info in available()}
    not_run, cases = {}, []
    wanted = list(request.keys or card.artifacts)
    for key in wanted:
        if reason := why_not(key, backends):
            not_run[key] = reason
    sample = request.sample or (None if card.task == LIDAR_TASK else _sample_photo())
    planned = [(key, count) for key in wanted if key not in not_run for count in request.threads]
    for number, (key, count) in enumerate(planned, 1):
        say(f"[{number}/{len(planned)}] {key}, {_threads(count)} …")
        folder = str(request.profile / run_name(key, count)) if request.profile else ""
        case = Case(str(directory), key, count, request.seconds, str(sample or ""), folder)
        cases.append(_measure_apart(case))
        say(f"      {_told(cases[-1])}")
    if all(case.fault for case in cases):
        reasons = [f"{key}: {reason}" for key, reason in not_run.items()] + [f"{c.key}: {c.fault}" for c in cases]
        raise BenchmarkError(f"{card.name}: nothing could be measured; {'; '.join(reasons)}")
    return BenchmarkReport(card.name, _machine(), cases, not_run, choose(cases))


def choose(cases: Sequence[Measurement]) -> Pick:
    """The case with the lowest p95 end to end; of those about as fast, the one that leaves most of the processor.

    Raises BenchmarkError when every case failed.
    """
    measured = [case for case in cases if not case.fault]
    if not measured:
        raise BenchmarkError("every case failed; see their faults")
    fastest = min(measured, key=lambda case: case.percentile("end_to_end", 95))
    limit = fastest.percentile("end_to_end", 95) * SAME_SPEED
    alike = [case for case in measured if case.percentile("end_to_end", 95) <= limit]
    best = min(alike, key=lambda case: case.cpu_ms)
    p95 = best.percentile("end_to_end", 95)
    if best is fastest:
        reason = f"lowest p95 end to end, {p95:.1f} ms"
    else:
        reason = (
            f"p95 end to end {p95:.1f} ms, within 10 % of the lowest ({fastest.key}, {_threads(fastest.threads)}: "
            f"{limit / SAME_SPEED:.1f} ms), with less processor time: {best.cpu_ms:.1f} ms per image, "
            f"not {fastest.cpu_ms:.1f}"
        )
    if best.precision == "int8":
        reason += "; it is quantized: see what `robot_ai model verify --coco` says of its precision"
    return Pick(best.key, best.threads, reason)


def run_name(key: str, threads: int) -> str:
    """A folder's name for a case."""
    return f"{key.replace('/', '-')}-threads-{threads or 'default'}"


def _sample_photo() -> Path | None:
    """A photo inside an installed wheel; None where there is none, and then one is drawn."""
    try:
        return sample_photos()[0]
    except PhotosError:
        return None


def _measure_apart(case: Case) -> Measurement:
    command = [sys.executable, "-m", "robot_ai.model_tool.benchmark_case", json.dumps(asdict(case))]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    let_threads_sleep(environment)
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=CASE_TIMEOUT, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return Measurement(case.key, case.threads, fault=f"gave no result within {CASE_TIMEOUT:.0f} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
        return Measurement(case.key, case.threads, fault=f"its process ended with code {done.returncode}: {last}")
    content = json.loads(done.stdout.splitlines()[-1])
    for stage in ("forward_ms", "end_to_end_ms"):
        content[stage] = tuple(content[stage])
    return Measurement(**content)


def _threads(count: int) -> str:
    return {0: "default threads", 1: "1 thread"}.get(count, f"{count} threads")


def _told(case: Measurement) -> str:
    if case.fault:
        return f"failed: {case.fault}"
    return (
        f"forward {case.percentile('forward', 50):.1f} ms, end to end {case.percentile('end_to_end', 50):.1f} ms, "
        f"{case.memory_mib:.0f} MiB"
    )


def _machine() -> dict[str, Any]:
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }
