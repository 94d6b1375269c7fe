"""Our way of working beside the others', same model, same photo, a camera at 30 Hz."""

from __future__ import annotations

from bench.harness import SIZES, Run, detector, measure
from bench.report import table
from robot_ai.cli.processes import NodeProcess

FRAMES = 150


def run() -> str:
    """Two rows per size; both nodes run PyTorch with its default threads."""
    rows = []
    for size in ("VGA", "1080p"):
        width, height = SIZES[size]
        camera = ["--width", str(width), "--height", str(height)]
        rival = NodeProcess("camera_detector", "bench.rival_node")
        theirs = measure(rival, camera, profile=False, frames=FRAMES)
        ours = measure(detector("pytorch"), camera, frames=FRAMES)
        rows += [[size, "others' way", *_figures(theirs)], [size, "robot_ai", *_figures(ours)]]
    header = ["Size", "Node", f"Answered of {FRAMES}", "Dropped", "of these known to the node", "Age p50 (ms)",
              "Age p95 (ms)", "Other load"]  # fmt: skip
    return table(header, rows)


def _figures(run: Run) -> list[object]:
    answered = len(run.latencies)
    known: object = sum(int(value) for key, value in run.values.items() if key.startswith("frames dropped: "))
    if "frames published" not in run.values:
        known = "none"
    return [answered, run.sent - answered, known, run.percentile(50), run.percentile(95), f"{run.others:.0%}"]
