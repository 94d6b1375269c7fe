"""The rate limit: exact in the long run, forgiving in the short."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.pipeline.rate import RateLimiter


def passed(times: list[float], rate: float) -> list[float]:
    limiter = RateLimiter()
    return [now for now in times if limiter.allow(now, rate)]


@pytest.mark.parametrize("jitter", [0.0, 0.01])
@pytest.mark.parametrize("rate", [0.5, 5.0, 7.3, 10.0, 15.0, 20.0, 29.0, 30.0])
def test_long_run_rate_is_the_limit(rate, jitter):
    seconds, chance = 200, random.Random(7)
    times = [1000 + number / 30 + chance.uniform(-jitter, jitter) for number in range(30 * seconds)]
    # With jitter, credit that is cut off at the bucket's rim is lost now and then.
    assert len(passed(times, rate)) == pytest.approx(rate * seconds, abs=2, rel=0.02 if jitter else 0)


def test_a_slower_camera_loses_nothing():
    times = [number / 15 for number in range(3000)]
    assert passed(times, 30.0) == times


def test_a_camera_at_just_the_limit_loses_nothing_to_its_jitter():
    chance = random.Random(5)
    times = [number / 30 + chance.uniform(-0.015, 0.015) for number in range(6000)]
    assert passed(times, 30.0) == times


def test_a_burst_passes_two():
    assert passed([5.0] * 50, 10.0) == [5.0, 5.0]


def test_a_pause_saves_up_no_larger_burst():
    times = [0.0, *(100 + number / 1000 for number in range(50))]
    assert passed(times, 10.0) == [0.0, 100.0, 100.001]


def test_nought_is_no_limit():
    assert len(passed([0.0] * 1000, 0.0)) == 1000


def test_a_new_limit_holds_from_the_next_frame():
    limiter = RateLimiter()
    assert [limiter.allow(0.001 * number, 0.0) for number in range(20)] == [True] * 20
    assert [limiter.allow(0.1 + 0.001 * number, 1.0) for number in range(20)] == [True] * 2 + [False] * 18
    assert limiter.allow(0.2, 0.0)


@given(
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=300),
    rate=st.floats(0.1, 100),
)
def test_never_more_than_the_limit_over_any_stretch(gaps, rate):
    times = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    through = passed(times, rate)
    assert through[0] == times[0]
    for first in range(len(through)):
        for last in range(first, len(through)):
            assert last - first + 1 <= (through[last] - through[first]) * rate + 2 + 1e-6
