"""What the node costs on top of the model: stamp to detections minus the forward pass."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.harness import SIZES, Run, detector, measure, stub_model, table
from robot_ai.backends.registry import available
from robot_ai.pipeline.latency import STAGES

RATE = 10.0
"""Slow enough that no frame waits for the one before: waiting is the camera's doing, not the node's."""
FRAMES = 100


def run() -> str:
    """One row per model and size."""
    installed = [b.name for b in available() if b.installed and b.name in ("pytorch", "tensorflow")]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        models = [("stub", stub_model(Path(folder))), *((name, "nanodet_g") for name in installed)]
        for backend, model in models:
            for size in ("VGA", "1080p"):
                width, height = SIZES[size]
                camera = ["--width", str(width), "--height", str(height), "--rate", str(RATE)]
                result = measure(detector(backend, model), camera, frames=FRAMES)
                rows.append([backend, size, *_figures(result)])
    header = ["Backend", "Size", "Stamp → detections p50", "p95", "minus forward p50", *(f"{s}" for s in STAGES)]
    return table(header, rows) + "\n\nAll in ms; the stages are medians from /diagnostics."


def _figures(result: Run) -> list[float]:
    forward = result.stage("forward")
    total = result.percentile(50)
    return [total, result.percentile(95), total - forward, *(result.stage(stage) for stage in STAGES)]
