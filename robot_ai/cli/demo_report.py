"""What the demo tells of a drive: scores, stops, losses."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robot_ai.bringup.table import CAMERA
from robot_ai.cli.demo_swap import SETTLE
from robot_ai.cli.demo_watch import DemoWatch
from robot_ai.evaluation.report import as_plain, as_text, table_2d, table_3d


def report(watch: DemoWatch, swap: Mapping[str, Any], output: Path) -> None:
    """Writes summary.json into `output` and prints the scores and the summary."""
    seen = {name: table_2d(scorer) for name, scorer in watch.scores.by_detector.items() if scorer.frames}
    placed = table_3d(watch.scores.space)
    lost = watch.counts.lost(-math.inf, time.monotonic() - SETTLE)
    camera = watch.diagnostics.get(f"{CAMERA.executable.name}: camera", {})
    ledger = {key: value for key, value in camera.items() if key.startswith("frames")}
    summary = {
        "2d": {name: as_plain(table) for name, table in seen.items()},
        "3d": as_plain(placed),
        "id switches": sum(scorer.identities.switches for scorer in watch.scores.by_detector.values()),
        "clear person recall": _number(watch.clear_recall("person")),
        "person range error (m)": _number(watch.scores.space.classes["person"].median_range_error),
        "real-time factor": _number(watch.real_time_factor),
        "images": len(watch.counts.shown),
        "images without an answer": len(lost),
        "images without an answer at (s)": [round(watch.seconds(stamp), 2) for stamp in lost],
        "ledger": ledger,
        "swap": swap,
        "stops": watch.log.as_plain(),
        "nearest person while moving (m)": _number(watch.log.nearest),
        "driven (m)": round(watch.distance_driven, 2),
    }
    (output / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    for backend, table in seen.items():
        print(f"\nThe camera's detections by {backend} against the truth\n{as_text(table)}")
    print("\nThe fused detections against the truth, within 6 m\n" + as_text(placed))
    counted = (f"{key.removeprefix('frames ')} {count}" for key, count in ledger.items() if count != "0")
    print(f"\n  drove {watch.distance_driven:.1f} m at {watch.real_time_factor:.2f} of real time")
    print(f"  {len(watch.log.stops)} stops by the watchdog and the microcontroller")
    for stop in watch.log.stops:
        print(f"    {stop.text}")
    if math.isfinite(watch.log.nearest):
        print(f"  while it moved no person was nearer than {watch.log.nearest:.2f} m")
    print(f"  {summary['images']} images, {len(lost)} without an answer")
    print(f"  the camera detector's ledger: {', '.join(counted)}")
    if swap:
        print(f"  {swap['text']}")
    for name in ("summary.png", "drive.mp4", "summary.json"):
        print(f"  {(output / name).resolve()}")


def _number(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
