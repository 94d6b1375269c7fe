"""Do all frames arrive? 150 frames at 30 Hz, our Fast DDS profile beside the default one."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.harness import SIZES, detector, measure, stub_model, table

FRAMES = 150


def run() -> str:
    """The table; frames are counted by the detector's ledger as they arrive."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        node = detector("stub", stub_model(Path(folder)))
        for reliability in ("best_effort", "reliable"):
            for size, (width, height) in SIZES.items():
                camera = ["--width", str(width), "--height", str(height), "--reliability", reliability]
                arrived = []
                for profile in (True, False):
                    result = measure(node, camera, profile=profile, frames=FRAMES)
                    arrived.append(f"{result.values['frames received']} of {FRAMES}")
                    arrived.append(result.percentile(50))
                rows.append([size, reliability, *arrived])
    header = ["Size", "Reliability", "Our profile", "p50 (ms)", "Default profile", "p50 (ms)"]
    return table(header, rows)
