"""The watchdog: OK, DEGRADED, TURN_ONLY or STOP, from what was heard and when. Driven by the caller's clock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from robot_ai.safety.errors import SafetyLimitsError


class SafetyState(IntEnum):
    """How far the robot may move; a larger number is more cautious."""

    OK = 0
    DEGRADED = 1
    """Moves, slowed down: something is late or near."""
    TURN_ONLY = 2
    """Has stopped before an obstacle, and may turn in place, slowly: all else is well."""
    STOP = 3
    """Does not move."""


@dataclass(frozen=True)
class SafetyLimits:
    """What the watchdog tolerates. Times in seconds, distances in meters; 0 switches a limit off.

    detections_timeout, link_timeout, command_timeout: the age at which detections, the microcontroller's heartbeat or
        commands mean STOP. Commands count only while the newest one asks for motion: a robot that was told to stand
        still may be left without commands.
    stop_distance, slow_distance: an obstacle nearer than this means STOP or DEGRADED.
    turn_distance: the robot that has stopped before an obstacle may turn in place while the obstacle is no nearer than
        this; 0: never. It must be more than what sticks out furthest from the axis that the robot turns about.
    resume_after: how long everything must have been well before STOP is left; for TURN_ONLY, everything but the
        obstacle.
    degraded_fraction: share of a timeout, 0-1, from which on something is late enough for DEGRADED.
    degraded_speed: share of the commanded speed, 0-1, that is passed on in DEGRADED, and of a turn in TURN_ONLY.

    Raises SafetyLimitsError when a value is negative, not finite or in contradiction to another.
    """

    detections_timeout: float = 0.5
    link_timeout: float = 1.0
    command_timeout: float = 0.5
    stop_distance: float = 0.0
    slow_distance: float = 0.0
    turn_distance: float = 0.0
    resume_after: float = 1.0
    degraded_fraction: float = 0.6
    degraded_speed: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise SafetyLimitsError(f"{name} is {value}; expected a finite number, 0 or more")
        for name in ("degraded_fraction", "degraded_speed"):
            if getattr(self, name) > 1:
                raise SafetyLimitsError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        if 0 < self.slow_distance < self.stop_distance:
            raise SafetyLimitsError(
                f"slow_distance is {self.slow_distance} m, which is less than stop_distance ({self.stop_distance} m); "
                "expected 0 (off) or the larger one of the two"
            )
        if self.turn_distance > self.stop_distance:
            raise SafetyLimitsError(
                f"turn_distance is {self.turn_distance} m, which is more than stop_distance ({self.stop_distance} m); "
                "expected 0 (off) or the smaller one of the two"
            )


@dataclass(frozen=True)
class Verdict:
    """The state, why (empty when OK), and the shares of a command, 0-1, that may be passed on: `speed` of its linear
    part, `turn` of that about the vertical axis; the rest of its turning goes with `speed`."""

    state: SafetyState
    reasons: tuple[str, ...]
    speed: float
    turn: float


_Finding = tuple[SafetyState, str]


class Watchdog:
    """Judges at each call of `evaluate`, and by itself just before anything new is taken in.

    Ages only grow between two inputs, so no stale moment can pass unseen, however seldom `evaluate` is called. `now` is
    a monotonic time in seconds; one that runs backwards counts as standing still. Not thread-safe.
    """

    def __init__(self, limits: SafetyLimits, now: float) -> None:
        self.limits = limits
        self._now = now
        self._detections: float | None = None
        self._nearest = math.inf
        self._heartbeat: float | None = None
        self._link_fault = ""
        self._command: float | None = None
        self._moving = False
        # Nothing was heard yet: the robot starts in STOP and earns its way out.
        self._state = SafetyState.STOP
        # Since when nothing but an obstacle has been amiss, and since when nothing at all.
        self._loose_since: float | None = None
        self._well_since: float | None = None

    def saw_detections(self, now: float, measured: float, nearest: float) -> None:
        """Detections came, of a scene that the sensor saw at `measured`; the nearest obstacle's distance in meters.

        `nearest` is infinite when there is none. Detections older than the newest known ones are ignored.
        """
        self.evaluate(now)
        measured = min(measured, self._now)
        if self._detections is None or measured >= self._detections:
            self._detections = measured
            # A distance that is no number says nothing, so it must not say that the way is free.
            self._nearest = 0.0 if math.isnan(nearest) else nearest

    def saw_heartbeat(self, now: float) -> None:
        """The microcontroller's heartbeat came."""
        self.evaluate(now)
        self._heartbeat = self._now

    def link(self, now: float, fault: str) -> None:
        """What the transport says of the link to the microcontroller: a fault in words, empty when it is up."""
        self.evaluate(now)
        self._link_fault = fault

    def saw_command(self, now: float, moving: bool) -> None:
        """A command came; `moving` tells whether it asks for motion."""
        self.evaluate(now)
        self._command = self._now
        self._moving = moving

    def evaluate(self, now: float) -> Verdict:
        """The verdict as of now."""
        self._now = now = max(now, self._now)
        findings = list(self._findings(now))
        worst = max((level for level, _ in findings), default=SafetyState.OK)
        reasons = tuple(text for level, text in findings if level == worst)
        if self._state < SafetyState.TURN_ONLY <= worst:
            # An obstacle stops who drives, like anything else; who has stood may turn.
            self._loose_since = None
        self._loose_since = _since(self._loose_since, worst < SafetyState.STOP, now)
        self._well_since = _since(self._well_since, worst < SafetyState.TURN_ONLY, now)
        self._state = self._next_state(worst, now)
        if self._state > worst and self._well_since is not None:
            reasons = (f"all well; resuming in {self._left(self._well_since, now):.1f} s",)
        shares = {SafetyState.OK: 1.0, SafetyState.DEGRADED: self.limits.degraded_speed}
        speed = shares.get(self._state, 0.0)
        turn = self.limits.degraded_speed if self._state == SafetyState.TURN_ONLY else speed
        return Verdict(self._state, reasons, speed, turn)

    def _next_state(self, worst: SafetyState, now: float) -> SafetyState:
        if worst == SafetyState.STOP:
            return SafetyState.STOP
        if self._state < SafetyState.TURN_ONLY:
            return SafetyState.STOP if worst == SafetyState.TURN_ONLY else worst
        if self._left(self._well_since, now) <= 0:
            return worst
        may_turn = self.limits.turn_distance > 0 and self._left(self._loose_since, now) <= 0
        return SafetyState.TURN_ONLY if may_turn else SafetyState.STOP

    def _left(self, since: float | None, now: float) -> float:
        """Seconds that something must hold on that has held since then."""
        return math.inf if since is None else self.limits.resume_after - (now - since)

    def _findings(self, now: float) -> Iterator[_Finding]:
        limits = self.limits
        yield from self._aged("detections", self._detections, limits.detections_timeout, now)
        if self._link_fault:
            yield SafetyState.STOP, f"link to the MCU: {self._link_fault}"
        yield from self._aged("MCU heartbeat", self._heartbeat, limits.link_timeout, now)
        if self._moving:
            yield from self._aged("commands", self._command, limits.command_timeout, now)
        # Of obstacles that nobody looks at any more only the age is known, and that is judged above.
        if self._nearest < limits.stop_distance:
            level = SafetyState.TURN_ONLY if 0 < limits.turn_distance <= self._nearest else SafetyState.STOP
            yield level, f"obstacle at {self._nearest:.2f} m, nearer than {limits.stop_distance:g} m"
        elif self._nearest < limits.slow_distance:
            yield SafetyState.DEGRADED, f"obstacle at {self._nearest:.2f} m, nearer than {limits.slow_distance:g} m"

    def _aged(self, what: str, heard: float | None, timeout: float, now: float) -> Iterator[_Finding]:
        if timeout <= 0:
            return
        if heard is None:
            yield SafetyState.STOP, f"no {what} yet"
        elif now - heard > timeout:
            # Without the age, which changes all the time: a reason is logged when it changes.
            yield SafetyState.STOP, f"{what} older than {timeout:g} s"
        elif now - heard > timeout * self.limits.degraded_fraction:
            yield SafetyState.DEGRADED, f"{what} late"


def _since(since: float | None, holds: bool, now: float) -> float | None:
    """Since when something has held without a gap; None while it does not."""
    if not holds:
        return None
    return now if since is None else since
