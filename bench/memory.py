"""Does the detector's memory stay flat?"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bench.harness import detector, measure, stub_model, table

WARM_UP = 0.3
"""Share of the run in which allocators still fill their pools."""


def run(frames: int) -> str:
    """Resident memory over `frames` VGA frames at 100 Hz with the stub model."""
    with tempfile.TemporaryDirectory() as folder:
        node = detector("stub", stub_model(Path(folder)))
        result = measure(node, ["--rate", "100"], frames=frames)
    samples = [(count, size) for count, size in result.memory if count > WARM_UP * frames]
    counts, sizes = np.array(samples).T
    slope = np.polyfit(counts, sizes, 1)[0] * 1000 * 1024
    row = [len(result.latencies), float(sizes[0]), float(sizes[-1]), float(sizes.max() - sizes.min()), float(slope)]
    return table(
        ["Frames", "RSS after warm-up (MiB)", "At the end", "Largest to smallest", "KiB per 1,000 frames"], [row]
    )
