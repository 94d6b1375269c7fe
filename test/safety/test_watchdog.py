"""The watchdog's promises, over random histories and one by one."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.safety.errors import SafetyLimitsError
from robot_ai.safety.watchdog import SafetyLimits, SafetyState, Watchdog

OK, DEGRADED, TURN_ONLY, STOP = SafetyState
LIMITS = SafetyLimits(stop_distance=0.5, slow_distance=1.0)
TURNING = dataclasses.replace(LIMITS, turn_distance=0.3)


def healthy(now: float = 0.0, limits: SafetyLimits = LIMITS) -> Watchdog:
    """A watchdog that has left STOP at `now` + resume_after, with everything fresh at that time."""
    watchdog = Watchdog(limits, now)
    for step in range(11):
        refresh(watchdog, now + limits.resume_after * step / 10)
    assert watchdog.evaluate(now + limits.resume_after).state == OK
    return watchdog


def refresh(watchdog: Watchdog, now: float, nearest: float = math.inf, moving: bool = True) -> None:
    watchdog.saw_detections(now, now, nearest)
    watchdog.saw_heartbeat(now)
    watchdog.saw_command(now, moving)


def test_it_starts_in_stop_and_says_why() -> None:
    verdict = Watchdog(LIMITS, 0.0).evaluate(0.0)
    assert (verdict.state, verdict.speed) == (STOP, 0.0)
    assert verdict.reasons == ("no detections yet", "no MCU heartbeat yet")


@pytest.mark.parametrize(
    ("name", "kept", "reason"),
    [
        ("detections_timeout", ("heartbeat", "command"), "detections older than 0.5 s"),
        ("link_timeout", ("detections", "command"), "MCU heartbeat older than 1 s"),
        ("command_timeout", ("detections", "heartbeat"), "commands older than 0.5 s"),
    ],
)
def test_each_age_degrades_then_stops(name: str, kept: tuple[str, ...], reason: str) -> None:
    watchdog, start, timeout = healthy(), 1.0, getattr(LIMITS, name)
    states = []
    for step in range(1, 13):
        now = start + (step - 0.5) * timeout / 10
        if "detections" in kept:
            watchdog.saw_detections(now, now, math.inf)
        if "heartbeat" in kept:
            watchdog.saw_heartbeat(now)
        if "command" in kept:
            watchdog.saw_command(now, True)
        states.append(watchdog.evaluate(now))
    assert [v.state for v in states] == [OK] * 6 + [DEGRADED] * 4 + [STOP] * 2
    assert [v.speed for v in states] == [1.0] * 6 + [0.5] * 4 + [0.0] * 2
    assert states[-1].reasons == (reason,)


def test_detections_of_an_old_scene_are_old_however_fresh_they_arrive() -> None:
    watchdog = healthy()
    for step in range(20):
        now = 1.0 + step * 0.05
        watchdog.saw_detections(now, now - 0.7, math.inf)
        watchdog.saw_heartbeat(now)
        watchdog.saw_command(now, True)
    assert watchdog.evaluate(1.95).state == STOP


def test_a_robot_told_to_stand_still_may_be_left_without_commands() -> None:
    watchdog = healthy()
    watchdog.saw_command(1.0, moving=False)
    for step in range(1, 40):
        watchdog.saw_detections(1.0 + step * 0.1, 1.0 + step * 0.1, math.inf)
        watchdog.saw_heartbeat(1.0 + step * 0.1)
    assert watchdog.evaluate(4.9).state == OK


@pytest.mark.parametrize(("nearest", "state"), [(0.49, STOP), (math.nan, STOP), (0.8, DEGRADED), (1.5, OK)])
def test_obstacles(nearest: float, state: SafetyState) -> None:
    watchdog = healthy()
    watchdog.saw_detections(1.01, 1.01, nearest)
    assert watchdog.evaluate(1.01).state == state


def test_older_detections_do_not_hide_an_obstacle() -> None:
    watchdog = healthy()
    watchdog.saw_detections(1.02, 1.02, 0.2)
    watchdog.saw_detections(1.03, 1.0, math.inf)
    assert watchdog.evaluate(1.03).state == STOP


def near(watchdog: Watchdog, start: float, seconds: float, nearest: float) -> Watchdog:
    """An obstacle stays so near for that long, with everything else well."""
    for step in range(round(seconds / 0.1) + 1):
        refresh(watchdog, start + step * 0.1, nearest)
    return watchdog


def test_an_obstacle_stops_and_keeps_the_robot_stopped_unless_turning_is_allowed() -> None:
    assert near(healthy(), 1.0, 20.0, 0.4).evaluate(21.0).state == STOP


def test_where_turning_is_allowed_an_obstacle_stops_first_and_lets_the_robot_turn_when_it_has_stood() -> None:
    watchdog = near(healthy(limits=TURNING), 1.0, 0.9, 0.4)
    assert (watchdog.evaluate(1.9).state, watchdog.evaluate(1.9).speed) == (STOP, 0.0)
    verdict = near(watchdog, 2.0, 1.0, 0.4).evaluate(3.0)
    assert (verdict.state, verdict.speed, verdict.turn) == (TURN_ONLY, 0.0, LIMITS.degraded_speed)
    assert verdict.reasons == ("obstacle at 0.40 m, nearer than 0.5 m",)
    # Turned away from it: it drives on when that has been so for as long as after any stop.
    assert near(watchdog, 3.1, 0.9, math.inf).evaluate(4.0).state == TURN_ONLY
    assert near(watchdog, 4.1, 0.1, math.inf).evaluate(4.2).state == OK


def test_what_is_nearer_than_turning_allows_stops_a_turn() -> None:
    assert near(near(healthy(limits=TURNING), 1.0, 2.0, 0.4), 3.1, 0.0, 0.29).evaluate(3.1).state == STOP


def test_while_everything_is_not_well_nothing_turns() -> None:
    for fault in ("link", "detections", "heartbeat", "command"):
        watchdog = near(healthy(limits=TURNING), 1.0, 2.0, 0.4)
        assert watchdog.evaluate(3.0).state == TURN_ONLY
        for step in range(1, 31):
            now = 3.0 + step * 0.1
            if fault == "link":
                watchdog.link(now, "unplugged")
            if fault != "detections":
                watchdog.saw_detections(now, now, 0.4)
            if fault != "heartbeat":
                watchdog.saw_heartbeat(now)
            if fault != "command":
                watchdog.saw_command(now, True)
        verdict = watchdog.evaluate(6.0)
        assert (verdict.state, verdict.speed, verdict.turn) == (STOP, 0.0, 0.0), fault


def test_a_lost_link_stops_at_once() -> None:
    watchdog = healthy()
    watchdog.link(1.01, "unplugged")
    assert watchdog.evaluate(1.01).reasons == ("link to the MCU: unplugged",)
    watchdog.link(1.02, "")
    assert watchdog.evaluate(1.02).state == STOP


def test_a_timeout_of_zero_switches_a_watch_off() -> None:
    off = SafetyLimits(detections_timeout=0, link_timeout=0, command_timeout=0, resume_after=0)
    watchdog = Watchdog(off, 0.0)
    assert watchdog.evaluate(0.0).state == OK
    assert watchdog.evaluate(1e6).state == OK


@pytest.mark.parametrize(
    "values",
    [{"resume_after": -1.0}, {"link_timeout": math.inf}, {"degraded_speed": 1.5}, {"detections_timeout": math.nan},
     {"stop_distance": 2.0, "slow_distance": 1.0}, {"stop_distance": 1.0, "turn_distance": 1.1},
     {"turn_distance": 0.1}],
)  # fmt: skip
def test_contradictory_limits_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(SafetyLimitsError, match="expected"):
        SafetyLimits(**values)


positive = st.floats(0.05, 3.0)
limits_strategy = st.builds(
    lambda detections, link, command, stop, slow, turn, resume, fraction, speed: SafetyLimits(
        detections, link, command, stop, stop + slow, turn * stop, resume, fraction, speed
    ),
    positive, positive, positive, st.floats(0, 2), st.floats(0, 2), st.sampled_from([0.0, 0.3, 1.0]), st.floats(0, 3),
    st.floats(0, 1), st.floats(0, 1),
)  # fmt: skip
event_strategy = st.tuples(
    st.floats(0, 1.0),  # seconds since the event before
    st.sampled_from(["detections", "heartbeat", "command", "halt", "down", "up", "look"]),
    st.floats(0, 1.0),  # how old the scene is
    st.one_of(st.just(math.inf), st.floats(0, 4)),
)


class Books:
    """The truth about a history, kept independently of the watchdog."""

    def __init__(self) -> None:
        self.heard: dict[str, float | None] = {"detections": None, "heartbeat": None, "command": None}
        self.nearest = math.inf
        self.moving = False
        self.down = False

    def unwell(self, limits: SafetyLimits, now: float) -> bool:
        """Whether anything forbids to drive."""
        return self.nearest < limits.stop_distance or self.faulty(limits, now)

    def fixed(self, limits: SafetyLimits, now: float) -> bool:
        """Whether anything forbids even to turn."""
        blocked = self.nearest < limits.stop_distance
        return (blocked and not 0 < limits.turn_distance <= self.nearest) or self.faulty(limits, now)

    def faulty(self, limits: SafetyLimits, now: float) -> bool:
        """Whether anything but an obstacle does."""

        def stale(what: str, timeout: float) -> bool:
            heard = self.heard[what]
            return heard is None or now - heard > timeout

        return (
            stale("detections", limits.detections_timeout)
            or stale("heartbeat", limits.link_timeout)
            or (self.moving and stale("command", limits.command_timeout))
            or self.down
        )

    def enter(self, watchdog: Watchdog, kind: str, now: float, age: float, nearest: float) -> None:
        if kind == "detections":
            watchdog.saw_detections(now, now - age, nearest)
            if self.heard["detections"] is None or now - age >= self.heard["detections"]:
                self.heard["detections"], self.nearest = now - age, nearest
        elif kind == "heartbeat":
            watchdog.saw_heartbeat(now)
            self.heard["heartbeat"] = now
        elif kind in ("command", "halt"):
            self.moving = kind == "command"
            watchdog.saw_command(now, self.moving)
            self.heard["command"] = now
        elif kind in ("down", "up"):
            self.down = kind == "down"
            watchdog.link(now, "unplugged" if self.down else "")


class Since:
    """Since when something has held without a gap; None while it does not."""

    def __init__(self) -> None:
        self.moment: float | None = None

    def look(self, holds: bool, now: float) -> None:
        self.moment = None if not holds else now if self.moment is None else self.moment

    def lasted(self, seconds: float, now: float) -> bool:
        return self.moment is not None and now - self.moment >= seconds


@given(limits_strategy, st.lists(event_strategy, max_size=60))
def test_it_stops_at_the_first_look_and_leaves_only_after_being_well_for_long_enough(limits, events) -> None:
    now, books, watchdog = 100.0, Books(), Watchdog(limits, 100.0)
    well, loose = Since(), Since()
    state = STOP
    for wait, kind, age, nearest in events:
        now += wait
        for _ in ("before", "after"):
            well.look(not books.unwell(limits, now), now)
            loose.look(not books.fixed(limits, now), now)
            if _ == "before":
                books.enter(watchdog, kind, now, age, nearest)
        before, verdict = state, watchdog.evaluate(now)
        state = verdict.state
        if books.unwell(limits, now):
            assert state >= TURN_ONLY
        if books.fixed(limits, now):
            assert state == STOP
        if state == STOP:
            assert (verdict.speed, verdict.turn) == (0.0, 0.0)
            assert verdict.reasons
        elif state == TURN_ONLY:
            assert limits.turn_distance > 0
            assert loose.lasted(limits.resume_after, now)
            assert (verdict.speed, verdict.turn) == (0.0, limits.degraded_speed)
            assert verdict.reasons
            # Whoever drives is stopped before he may turn.
            assert before >= TURN_ONLY or limits.resume_after == 0
        else:
            assert well.lasted(limits.resume_after, now)
            assert verdict.speed == verdict.turn == (1.0 if state == OK else limits.degraded_speed)


@given(limits_strategy, st.lists(event_strategy, max_size=60))
def test_turning_in_place_loosens_nothing_but_the_stop_before_an_obstacle(limits, events) -> None:
    """Two watchdogs see the same; the one that may not turn allows no more, and the other one no more than turning."""
    strict = Watchdog(dataclasses.replace(limits, turn_distance=0.0), 0.0)
    loose, books, now = Watchdog(limits, 0.0), Books(), 0.0
    for wait, kind, age, nearest in events:
        now += wait
        books.enter(strict, kind, now, age, nearest)
        books.enter(loose, kind, now, age, nearest)
        narrow, wide = strict.evaluate(now), loose.evaluate(now)
        assert wide.speed == narrow.speed
        if wide.state != narrow.state:
            assert (wide.state, narrow.state) == (TURN_ONLY, STOP)


@given(limits_strategy, st.floats(0.005, 0.2), st.floats(0, 0.2))
def test_stop_comes_within_one_period_of_the_moment_detections_turn_stale(limits, period, phase) -> None:
    limits = dataclasses.replace(limits, link_timeout=0.0, command_timeout=0.0)
    watchdog, last = Watchdog(limits, 0.0), 0.0
    while watchdog.evaluate(last).state == STOP:
        last += limits.detections_timeout / 4
        watchdog.saw_detections(last, last, math.inf)
    now = last + phase
    while watchdog.evaluate(now).state != STOP:
        now += period
    due = last + limits.detections_timeout
    assert due - 1e-9 < now <= due + max(period, phase) * (1 + 1e-6) + 1e-9


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=20))
def test_a_clock_that_runs_backwards_frees_nothing(jumps) -> None:
    watchdog = healthy()
    assert watchdog.evaluate(2.0).state == STOP
    for jump in jumps:
        assert watchdog.evaluate(2.0 + jump).state == STOP
