"""Do all frames arrive? 150 frames at 30 Hz, our Fast DDS profile beside the default one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.harness import SIZES, Run, detector, measure, stub_model
from bench.report import at_least, table

FRAMES = 150


def run(sizes: Sequence[str]) -> str:
    """The table; frames are counted by the detector's ledger as they arrive."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        node = detector("stub", stub_model(Path(folder)))
        for reliability in ("best_effort", "reliable"):
            for size in sizes:
                width, height = SIZES[size]
                camera = ["--width", str(width), "--height", str(height), "--reliability", reliability]
                ours, default = (measure(node, camera, profile=profile, frames=FRAMES) for profile in (True, False))
                verdict = at_least(_received(ours), FRAMES)
                figures = [figure for run in (ours, default) for figure in (_received(run), run.percentile(50))]
                rows.append([reliability, size, *figures, verdict, f"{max(ours.others, default.others):.0%}"])
    header = [
        "Reliability", "Size", f"Ours: received of {FRAMES}", "p50 (ms)", "Default profile: received", "p50 (ms)",
        "Bar (ours)", "Other load",
    ]  # fmt: skip
    return table(header, rows)


def _received(run: Run) -> int:
    return int(run.values["frames received"])
