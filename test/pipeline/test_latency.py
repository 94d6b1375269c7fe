"""Percentiles of the stages."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from robot_ai.pipeline.latency import STAGES, WINDOW, StageLatencies


def test_percentiles_are_numpys():
    latencies = StageLatencies()
    values = np.random.default_rng(3).exponential(0.01, 200)
    for value in values:
        latencies.add({"forward": float(value)})
    forward = latencies.percentiles()["forward"]
    assert forward.p50 == pytest.approx(np.percentile(values, 50))
    assert forward.p95 == pytest.approx(np.percentile(values, 95))
    assert forward.p50 < forward.p95


def test_one_sample_is_both_percentiles():
    latencies = StageLatencies()
    latencies.add({"decode": 0.25})
    assert latencies.percentiles()["decode"].p50 == latencies.percentiles()["decode"].p95 == 0.25


def test_only_the_last_frames_count():
    latencies = StageLatencies()
    for _ in range(1000):
        latencies.add({"publish": 100.0})
    for value in range(WINDOW):
        latencies.add({"publish": value / WINDOW})
    assert latencies.percentiles()["publish"].p95 < 1


def test_stages_come_in_their_order_and_unmeasured_ones_not():
    latencies = StageLatencies()
    assert latencies.percentiles() == {}
    latencies.add({"publish": 1.0, "queue": 2.0})
    latencies.add({"decode": 3.0})
    assert list(latencies.percentiles()) == ["queue", "decode", "publish"]
    latencies.add(dict.fromkeys(reversed(STAGES), 0.0))
    assert tuple(latencies.percentiles()) == STAGES


def test_a_further_stage_is_measured_too():
    latencies = StageLatencies()
    latencies.add({"track": 0.5, "queue": 0.1})
    assert list(latencies.percentiles()) == ["queue", "track"]


def test_reading_while_frames_come():
    latencies = StageLatencies()
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            latencies.add(dict.fromkeys(STAGES, 0.001))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            for value in latencies.percentiles().values():
                assert (value.p50, value.p95) == (0.001, 0.001)
    finally:
        stop.set()
        writer.join()
