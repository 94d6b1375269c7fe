"""Our way of working beside the others', same model, same photo, a camera at 30 Hz."""

from __future__ import annotations

from bench.harness import SIZES, detector, measure, table
from robot_ai.cli.processes import NodeProcess

FRAMES = 300


def run() -> str:
    """Two rows per size; both nodes run PyTorch with its default threads."""
    rows = []
    for size in ("VGA", "1080p"):
        width, height = SIZES[size]
        camera = ["--width", str(width), "--height", str(height)]
        theirs = measure(NodeProcess("camera_detector", "bench.rival_node"), camera, profile=False, frames=FRAMES)
        ours = measure(detector("pytorch"), camera, frames=FRAMES)
        for name, result in (("others' way", theirs), ("robot_ai", ours)):
            counted = result.values.get("frames dropped: stale", "not known")
            rows.append([size, name, len(result.latencies), counted, result.percentile(50), result.percentile(95)])
    header = ["Size", "Node", f"Answered of {FRAMES}", "Drops it knows of", "Age p50 (ms)", "Age p95 (ms)"]
    return table(header, rows)
