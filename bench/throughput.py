"""Frames per second through the node beside the bare forward-pass loop of the same backend and threads."""

from __future__ import annotations

import subprocess
import sys

from bench.harness import detector, measure, table
from robot_ai.backends.registry import available

SECONDS = 10.0
BARE_LOOP = """
import sys, time
import numpy as np
from robot_ai.backends.registry import create
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model
name, seconds = sys.argv[1], float(sys.argv[2])
backend, card = create(name), ModelCard.load(find_model("nanodet_g"), backends=[name])
backend.load(card)
spec = backend.inputs[0]
batch = {spec.name: np.random.default_rng(0).random([axis or 1 for axis in spec.shape], np.float32)}
for _ in range(5):
    backend.infer(batch)
started, count = time.perf_counter(), 0
while time.perf_counter() - started < seconds:
    backend.infer(batch)
    count += 1
print(count / (time.perf_counter() - started))
"""


def run() -> str:
    """One row per framework; the bare loop runs before and after the node, and its mean counts."""
    rows = []
    for backend in [b.name for b in available() if b.installed and b.name in ("pytorch", "tensorflow")]:
        before = _bare(backend)
        # A camera half as fast again as the model leaves the node no idle moment and the processor some.
        rate = before * 1.5
        result = measure(detector(backend), ["--rate", str(rate)], frames=round(rate * SECONDS))
        bare = (before + _bare(backend)) / 2
        node = _rate(result.latencies, float(result.values["frames published"]), SECONDS)
        rows.append([backend, bare, node, node / bare])
    return table(["Backend", "Bare loop (1/s)", "Node (1/s)", "Ratio"], rows)


def _rate(latencies: list[float], published: float, seconds: float) -> float:
    return min(published, len(latencies)) / seconds


def _bare(backend: str) -> float:
    command = [sys.executable, "-c", BARE_LOOP, backend, str(SECONDS / 2)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])
