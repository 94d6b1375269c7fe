"""The behavior in closed loop: a simple robot among walls and people, all of it computed here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_ai.driving.arcs import Motion, Vehicle
from robot_ai.driving.errors import DriveSettingsError
from robot_ai.driving.follow_and_avoid import FollowAndAvoid, FollowSettings, Mode, People
from robot_ai.safety.watchdog import SafetyLimits, SafetyState, Watchdog

PERIOD = 0.1
# Half of what a person is wide, in meters.
PERSON = 0.25
LATENCY = 0.2


@dataclass
class World:
    """Walls as points, people as circles; the sensors see all of it, `LATENCY` late."""

    people: list[tuple[float, float]] = field(default_factory=list)
    side: float = 5.0
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0

    def __post_init__(self) -> None:
        line = np.arange(-self.side, self.side, 0.1)
        edge = np.full(len(line), self.side)
        walls = [(line, edge), (line, -edge), (edge, line), (-edge, line)]
        self.walls = np.concatenate([np.column_stack(wall) for wall in walls])

    def local(self, places: np.ndarray) -> np.ndarray:
        offset = np.asarray(places, float).reshape(-1, 2) - (self.x, self.y)
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        return offset @ np.array([[cos, -sin], [sin, cos]])

    def scan(self) -> np.ndarray:
        angles = np.linspace(-math.pi, math.pi, 60)
        rims = [np.array(p) + PERSON * np.column_stack([np.cos(angles), np.sin(angles)]) for p in self.people]
        return self.local(np.concatenate([self.walls, *rims]))

    def gap(self, radius: float) -> float:
        """From the robot's circle to the nearest person."""
        ranges = np.linalg.norm(self.local(np.array(self.people)), axis=1)
        return float(ranges.min()) - PERSON - radius if len(ranges) else math.inf


def drive(
    world: World, driver: FollowAndAvoid, seconds: float, sees_people: bool = True, guard: Guard | None = None
) -> list[tuple[Mode, float]]:
    """Runs the loop; the modes and the gaps to the nearest person."""
    history, late = [], []
    for step in range(round(seconds / PERIOD)):
        now = 100 + step * PERIOD
        seen = world.local(np.array(world.people)) if sees_people else np.empty((0, 2))
        late.append((world.scan(), People(seen, np.full(len(seen), PERSON))))
        scan, people = late[max(0, len(late) - 1 - round(LATENCY / PERIOD))]
        driver.saw_obstacles(now, scan)
        driver.saw_people(now, people)
        motion = driver.step(now)
        if guard is not None:
            motion = guard.let_through(now, world, motion)
            driver.saw_motion(now, motion)
        world.yaw += motion.turn * PERIOD
        world.x += motion.speed * math.cos(world.yaw) * PERIOD
        world.y += motion.speed * math.sin(world.yaw) * PERIOD
        history.append((driver.mode, world.gap(driver.settings.vehicle.radius)))
    return history


@dataclass
class Guard:
    """The bridge's watchdog: knows all persons within its angle ahead, `LATENCY` late, and stops the robot for them."""

    turn_distance: float
    stop_distance: float = 1.1
    half_angle: float = 0.7
    verdicts: list[SafetyState] = field(default_factory=list)

    def __post_init__(self) -> None:
        limits = SafetyLimits(stop_distance=self.stop_distance, turn_distance=self.turn_distance)
        self._watchdog = Watchdog(limits, 100.0)
        self._late: list[float] = []

    def let_through(self, now: float, world: World, motion: Motion) -> Motion:
        places = world.local(np.array(world.people))
        ranges = np.linalg.norm(places, axis=1) - PERSON
        reach = np.abs(np.arctan2(places[:, 1], places[:, 0])) - np.arcsin(PERSON / (ranges + PERSON))
        self._late.append(float(ranges[reach < self.half_angle].min(initial=math.inf)))
        self._watchdog.saw_detections(now, now, self._late[max(0, len(self._late) - 1 - round(LATENCY / PERIOD))])
        self._watchdog.saw_heartbeat(now)
        self._watchdog.saw_command(now, motion != Motion())
        verdict = self._watchdog.evaluate(now)
        self.verdicts.append(verdict.state)
        return Motion(motion.speed * verdict.speed, motion.turn * verdict.turn)


@pytest.mark.parametrize("sees_people", [True, False])
@pytest.mark.parametrize("offset", [-0.3, 0.0, 0.3])
def test_turns_away_from_whom_the_watchdog_holds_it_before_and_drives_on(offset: float, sees_people: bool) -> None:
    """Somebody has stepped into its way; its detectors may have lost him."""
    world, guard = World([(1.0, offset)]), Guard(turn_distance=0.6)
    history = drive(world, FollowAndAvoid(FollowSettings(person_margin=0.9, visit=1.0)), 40, sees_people, guard)
    assert guard.verdicts[20] is SafetyState.TURN_ONLY
    assert guard.verdicts[-100:].count(SafetyState.OK) > 50
    assert min(gap for _, gap in history[10:]) >= 0.4
    assert math.hypot(world.x, world.y) > 1.0


def test_whom_the_watchdog_holds_it_before_it_leaves_as_after_a_visit() -> None:
    """It would go nearer than it is let: it is stopped on its way, looks for another way, and comes back."""
    world, guard = World([(3.0, 0.2)]), Guard(turn_distance=0.6)
    vehicle = Vehicle(stop_distance=0.4)
    settings = FollowSettings(vehicle=vehicle, follow_distance=0.4, person_margin=0.1, wander=6.0)
    history = drive(world, FollowAndAvoid(settings), 60, True, guard)
    modes = [mode for mode, _ in history]
    assert Mode.ARRIVED not in modes
    stopped = guard.verdicts.index(SafetyState.STOP, 20)
    held = modes.index(Mode.HELD, stopped)
    left = next(step for step in range(held, len(modes)) if modes[step] is not Mode.HELD)
    assert set(modes[left : left + 50]) == {Mode.SEARCHING}
    assert history[left + 50][1] > history[left][1] + 0.2, "it has gone elsewhere"
    assert guard.verdicts.index(SafetyState.STOP, modes.index(Mode.FOLLOWING, left)), "and comes back"
    assert min(gap for _, gap in history) >= 0.4


def test_who_stands_in_its_way_after_a_visit_does_not_get_another_one_at_once() -> None:
    """On its way on it would pass him more closely than it is let."""
    world, guard = World([(3.0, 0.0)]), Guard(turn_distance=0.6)
    settings = FollowSettings(Vehicle(stop_distance=0.4), follow_distance=1.4, person_margin=0.1, visit=2.0, wander=6.0)
    modes = [mode for mode, _ in drive(world, FollowAndAvoid(settings), 60, True, guard)]
    stopped = guard.verdicts.index(SafetyState.STOP, modes.index(Mode.ARRIVED))
    held = modes.index(Mode.HELD, stopped)
    left = next(step for step in range(held, len(modes)) if modes[step] is not Mode.HELD)
    assert set(modes[left : left + 50]) == {Mode.SEARCHING}


def test_where_the_watchdog_lets_it_not_even_turn_it_stays_where_it_is() -> None:
    world, guard = World([(1.0, 0.0)]), Guard(turn_distance=0.0)
    drive(world, FollowAndAvoid(FollowSettings()), 20, True, guard)
    assert (world.x, world.y, world.yaw) == (0.0, 0.0, 0.0)
    assert set(guard.verdicts) == {SafetyState.STOP}


def test_what_is_told_to_drive_and_does_not_turns_away_from_the_nearest_thing_ahead() -> None:
    driver = FollowAndAvoid(FollowSettings(held=1.0))
    turned = 0.0
    for tenth in range(60):
        driver.saw_obstacles(tenth / 10, np.array([[2.0, -0.8], [9.0, 0.1]]))
        motion = driver.step(tenth / 10)
        # Its wheels turn it, but do not drive it.
        driver.saw_motion(tenth / 10, Motion(0.0, motion.turn if driver.mode is Mode.HELD else 0.0))
        turned += motion.turn / 10 if driver.mode is Mode.HELD else 0.0
        assert driver.mode is not Mode.HELD or (motion.speed, motion.turn > 0) == (0.0, True)
        if tenth == 9:
            assert driver.mode is Mode.SEARCHING
        if tenth == 14:
            assert driver.mode is Mode.HELD
    assert math.pi / 3 <= turned


def test_comes_up_to_a_person_and_stops_at_the_distance() -> None:
    driver = FollowAndAvoid(FollowSettings(visit=0))
    history = drive(World([(3.0, 1.0)]), driver, 30)
    assert history[-1][0] is Mode.ARRIVED
    assert history[-1][1] == pytest.approx(driver.settings.follow_distance, abs=0.12)


def test_looks_for_another_way_after_a_visit() -> None:
    history = drive(World([(2.0, 0.0)]), FollowAndAvoid(FollowSettings(visit=1.0, wander=3.0)), 30)
    modes = [mode for mode, _ in history]
    assert modes.index(Mode.SEARCHING, modes.index(Mode.ARRIVED)) > 0


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(st.floats(-4, 4), st.floats(-4, 4)).filter(lambda p: math.hypot(*p) > 1.6), min_size=1, max_size=3
    ),
    st.floats(-math.pi, math.pi),
    st.booleans(),
)
def test_never_nearer_than_half_a_meter_to_a_person(
    people: list[tuple[float, float]], yaw: float, sees_people: bool
) -> None:
    """Seen by the detectors or by the scan alone, ahead; beside it passes what it does not know at its side margin."""
    driver = FollowAndAvoid(FollowSettings())
    world = World(people, yaw=yaw)
    history = drive(world, driver, 25, sees_people)
    margin = 0.25 if sees_people else 0.1
    assert min(gap for _, gap in history) >= margin


@pytest.mark.parametrize("sees_people", [True, False])
@pytest.mark.parametrize("offset", [-0.2, -0.1, 0.0, 0.1, 0.2])
def test_stops_before_whoever_stands_in_the_way(offset: float, sees_people: bool) -> None:
    """In a corridor too narrow to pass."""
    world = World([(2.5, offset)])
    world.walls = np.array([[x, y] for x in np.arange(-1, 4, 0.05) for y in (-0.6, 0.6)])
    history = drive(world, FollowAndAvoid(FollowSettings(visit=0)), 20, sees_people)
    assert 0.5 <= min(gap for _, gap in history) <= 1.3


def test_stays_clear_of_walls_while_it_searches() -> None:
    world, driver = World(side=2.0), FollowAndAvoid(FollowSettings())
    places = []
    for _ in range(40):
        drive(world, driver, 1)
        places.append((world.x, world.y))
    assert np.abs(places).max() < 2.0 - driver.settings.vehicle.radius
    assert np.ptp(np.array(places), axis=0).max() > 0.3


def test_stands_still_without_a_scan_and_with_an_old_one() -> None:
    driver = FollowAndAvoid(FollowSettings())
    assert (driver.step(0.0).speed, driver.mode) == (0.0, Mode.BLIND)
    driver.saw_obstacles(1.0, np.array([[3.0, 0.0]]))
    driver.step(1.0)
    assert driver.step(1.3).speed > 0
    assert (driver.step(1.6).speed, driver.mode) == (0.0, Mode.BLIND)


def test_goes_on_to_where_a_person_was_seen_last() -> None:
    driver = FollowAndAvoid(FollowSettings(memory=2.0))
    driver.saw_obstacles(0.0, np.array([[9.0, 0.0]]))
    driver.saw_people(0.0, People(np.array([[5.0, 0.0]]), np.array([PERSON])))
    driver.step(0.0)
    for tenth in range(1, 15):
        driver.saw_obstacles(tenth / 10, np.array([[9.0, 0.0]]))
        driver.saw_people(tenth / 10, People.nobody())
        driver.step(tenth / 10)
        assert driver.mode is Mode.FOLLOWING
    driver.saw_obstacles(2.5, np.array([[9.0, 0.0]]))
    driver.step(2.5)
    assert driver.mode is Mode.SEARCHING


def test_points_that_are_no_numbers_are_left_out() -> None:
    driver = FollowAndAvoid(FollowSettings())
    driver.saw_obstacles(0.0, np.array([[math.nan, 1.0], [math.inf, 0.0], [2.0, 0.0]]))
    assert driver.step(0.0).speed == 0.0


def test_a_distance_that_the_stop_never_allows_is_refused() -> None:
    with pytest.raises(DriveSettingsError, match="less than stop_distance"):
        FollowSettings(follow_distance=0.2)
