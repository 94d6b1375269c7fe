"""What the node costs on top of the model: stamp to detections minus the forward pass."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.harness import SIZES, detector, frameworks, measure, stub_model
from bench.report import at_most, table
from robot_ai.pipeline.latency import STAGES

FRAMES = 80
# Slow enough for every model here that no frame waits for the one before: that wait is the camera's doing.
RATE = 10.0
NOTE = """In ms. Added: from the image's stamp to the arrival of its detections in another process, minus the median
forward pass. The stages are medians from /diagnostics; the way of the detections to the listener is not in them."""
BARS = {"VGA": 3.0, "1080p": 6.0}


def run() -> str:
    """One row per model and size."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        models = [("stub", stub_model(Path(folder))), *((name, "nanodet_g") for name in frameworks())]
        for backend, model in models:
            for size, bar in BARS.items():
                width, height = SIZES[size]
                camera = ["--width", str(width), "--height", str(height), "--rate", str(RATE)]
                result = measure(detector(backend, model), camera, frames=FRAMES)
                forward = result.stage("forward")
                p50, p95 = (result.percentile(percent) - forward for percent in (50, 95))
                stages = [result.stage(stage) for stage in STAGES]
                rows.append([backend, size, p50, at_most(p50, bar), p95, *stages, f"{result.others:.0%}"])
    header = ["Backend", "Size", "Added p50", "Bar", "Added p95", *STAGES, "Other load"]
    return f"{table(header, rows)}\n\n{NOTE}"
