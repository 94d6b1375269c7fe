"""Tables, verdicts and the page that holds them. Knows no ROS."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

PACKAGES = (
    "numpy",
    "opencv-python-headless",
    "torch",
    "tensorflow-cpu",
    "ros-jazzy-rclpy",
    "ros-jazzy-rmw-fastrtps-cpp",
)


def percentile(values: Sequence[float], percent: float) -> float:
    """A percentile with linear interpolation; NaN when there is no value."""
    return float(np.percentile(values, percent)) if len(values) else float("nan")


def rate(times: Sequence[float]) -> float:
    """Events per second between the first and the last of these times in seconds; NaN for fewer than two."""
    span = times[-1] - times[0] if len(times) > 1 else 0.0
    return (len(times) - 1) / span if span > 0 else float("nan")


def slope(counts: Sequence[float], sizes: Sequence[float]) -> float:
    """How much `sizes` grow per count: the least-squares line's slope; NaN for fewer than two points."""
    return float(np.polyfit(counts, sizes, 1)[0]) if len(set(counts)) > 1 else float("nan")


def at_most(value: float, bar: float) -> str:
    """Whether a value that should be small meets its bar, in words."""
    return f"≤ {bar:g}: {'met' if value <= bar else 'missed'}"


def at_least(value: float, bar: float) -> str:
    """Whether a value that should be large meets its bar, in words."""
    return f"≥ {bar:g}: {'met' if value >= bar else 'missed'}"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if np.isnan(value) else f"{value:.2f}"
    return str(value)


def replace_measured(page: str, measured: str) -> str:
    """The page with what lies between the markers replaced; raises ValueError when it lacks them."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks the lines {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{measured.strip()}\n{END}{tail}"


def machine() -> str:
    """Processor, cores, Python and versions, in one line."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    listed = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {listed}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
