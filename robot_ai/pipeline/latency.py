"""Where the time of a frame goes, stage by stage."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

STAGES = ("transport", "queue", "decode", "preprocess", "forward", "postprocess", "publish")
"""transport: the header's stamp to the callback. queue: the callback to the worker. The others are the worker's own."""

WINDOW = 256


@dataclass(frozen=True)
class Percentiles:
    """Median and 95th percentile of a stage, in seconds."""

    p50: float
    p95: float


class StageLatencies:
    """The last `WINDOW` durations of each stage. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, deque[float]] = {stage: deque(maxlen=WINDOW) for stage in STAGES}

    def add(self, durations: Mapping[str, float]) -> None:
        """Adds one frame's durations, in seconds, by stage name; a name that is not in `STAGES` is a further stage."""
        with self._lock:
            for stage, duration in durations.items():
                self._stages.setdefault(stage, deque(maxlen=WINDOW)).append(duration)

    def percentiles(self) -> dict[str, Percentiles]:
        """Median and 95th percentile of every stage that has been measured, in the order of `STAGES`, then others."""
        with self._lock:
            samples = {stage: np.array(values) for stage, values in self._stages.items() if values}
        return {stage: Percentiles(*np.percentile(values, (50, 95)).tolist()) for stage, values in samples.items()}
