"""Does the detector's memory stay flat?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.harness import detector, measure, stub_model
from bench.report import at_most, slope, table

# Share of the run in which allocators still fill their pools.
WARM_UP = 0.3
# KiB per 1,000 frames: at 30 Hz, 16 KiB are 41 MiB a day.
BAR = 16.0
RATE = 100.0


def run(frames: int) -> str:
    """Resident memory over `frames` VGA frames with the stub model."""
    with tempfile.TemporaryDirectory() as folder:
        result = measure(detector("stub", stub_model(Path(folder))), ["--rate", str(RATE)], frames=frames)
    samples = [(count, size) for count, size in result.memory if count > WARM_UP * frames]
    counts, sizes = [count for count, _ in samples], [size for _, size in samples]
    growth = slope(counts, sizes) * 1000 * 1024
    row = [len(result.latencies), sizes[0], sizes[-1], max(sizes) - min(sizes), growth, at_most(growth, BAR)]
    header = [
        "Frames", "RSS after warm-up (MiB)", "At the end", "Largest less smallest", "KiB per 1,000 frames", "Bar",
    ]  # fmt: skip
    return table(header, [row])
