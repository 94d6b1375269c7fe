"""Clouds of 64 x 1024 points at 10 Hz through lidar_detector, across processes; the detector alone, on one core; its
clustering beside others'.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from vision_msgs.msg import Detection3DArray

from bench import clustering
from bench.harness import measure
from bench.report import at_least, at_most, table
from robot_ai.cli.processes import NodeProcess
from robot_ai.lidar.clouds import CloudField, RawCloud, cloud_view
from robot_ai.lidar.cluster_detector import ClusterDetector, ClusterSettings
from robot_ai.pipeline.cloud_detector import METHODS
from robot_ai.training.lidar_scenes import BEAMS, cast, random_scene

FRAMES = 150
ROUNDS = 30
STAGES = (
    "transport", "queue", "decode", "crop", "ground", "cluster", "boxes", "encode", "forward", "obstacles", "track",
    "publish",
)  # fmt: skip
BARS = {64: 25.0, 128: 60.0}


def run(scans: Path | None = None) -> str:
    """The node across processes by each method, then its parts in this process, and the clustering beside others', on
    the scans of a folder or on simulated ones.
    """
    return f"{_node()}\n\n{_alone()}\n\n{clustering.run(scans)}"


def _node() -> str:
    rows, stages = [], []
    for method in METHODS:
        detector = NodeProcess("lidar_detector", "robot_ai.nodes.lidar_detector", {"method": method, "tracking": True})
        result = measure(detector, [], frames=FRAMES, source="bench.lidar_source", answer=Detection3DArray)
        answered, p95 = len(result.latencies), result.percentile(95)
        memory = max((size for _, size in result.memory), default=float("nan"))
        rows.append([
            method, f"{answered} of {FRAMES}", at_least(answered, FRAMES), result.percentile(50), p95,
            at_most(p95, 100.0), f"{result.cpu:.0%}", memory, result.values.get("frames received", "-"),
            f"{result.others:.0%}",
        ])  # fmt: skip
        stages.append([method, *(result.stage(stage) for stage in STAGES)])
    header = ["Method", "Answered", "Bar", "p50 (ms)", "p95 (ms)", "Bar", "CPU", "RSS (MiB)", "Received", "Other load"]
    return f"{table(header, rows)}\n\n{table(['Method, p50 (ms)', *STAGES], stages)}"


def _alone() -> str:
    rows = []
    detector, settings = ClusterDetector(), ClusterSettings()
    for beams, bar in BARS.items():
        clouds = []
        for seed in range(6):
            rng = np.random.default_rng(seed)
            clouds.append(cast(random_scene(rng), BEAMS[beams], rng).points)
        measured = [cloud[np.isfinite(cloud).all(axis=1)] for cloud in clouds]
        p50 = _median_ms([lambda points=points: detector.detect(points, settings) for points in measured])
        fields = [CloudField(name, 4 * axis, 7) for axis, name in enumerate("xyz")]
        raw = RawCloud(beams, 1024, fields, 12, 12 * 1024, clouds[0].tobytes())
        view = _median_ms([lambda raw=raw: cloud_view(raw)])
        points = int(np.mean([len(cloud) for cloud in measured]))
        rows.append([f"{beams} x 1024", points, p50, at_most(p50, bar), view, at_most(view, 0.1)])
    return table(["Cloud", "Returns (mean)", "Detection p50 (ms)", "Bar", "Array view (ms)", "Bar"], rows)


def _median_ms(jobs: list[Callable[[], object]]) -> float:
    durations = []
    for _ in range(ROUNDS):
        for job in jobs:
            started = time.perf_counter()
            job()
            durations.append(time.perf_counter() - started)
    return float(np.median(durations)) * 1e3
