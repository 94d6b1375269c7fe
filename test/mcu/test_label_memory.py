"""Labels that stay with their things."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.mcu.label_memory import LabelMemory
from robot_ai.mcu.polar import PolarDetections


def seen(*rows: tuple[float, float]) -> PolarDetections:
    """Rows of range and bearing."""
    table = np.array(rows, float).reshape(-1, 2)
    count = len(table)
    return PolarDetections(np.zeros(count, np.int64), np.ones(count), table[:, 1], table[:, 0], np.full(count, 0.2))


def nearest(
    memory: LabelMemory, now: float, things: PolarDetections, *labeled: bool, large: tuple[bool, ...] = ()
) -> float:
    sizes = np.array(large or [False] * len(labeled), bool)
    return memory.watched(now, things, np.array(labeled, bool), sizes).nearest_within(math.pi)


def test_a_wall_does_not_become_a_person_by_its_box() -> None:
    """The box of the walls of a corner holds the robot: at range 0 it would stop it for ever."""
    memory = LabelMemory()
    nearest(memory, 0.0, seen((0.9, 1.7), (1.2, 1.7)), True, False, large=(False, True))
    for tenth in range(1, 9):
        # He has lost his label, then his cluster; the box grows until the robot is within.
        wall = max(0.9 - 0.2 * tenth, 0.0)
        assert nearest(memory, tenth / 10, seen((wall, 1.7)), False, large=(True,)) == 0.9
    assert nearest(memory, 3.0, seen((0.0, 0.0)), False, large=(True,)) == math.inf


def test_a_person_before_a_wall_who_is_seen_as_a_part_of_it_stays_where_he_was() -> None:
    memory = LabelMemory(keep=1.0)
    nearest(memory, 0.0, seen((0.9, 0.0)), True)
    for step in range(1, 30):
        # The box around both begins where he does.
        assert nearest(memory, step / 2, seen((0.95, 0.0)), False, large=(True,)) == 0.9
    assert nearest(memory, 15.0, seen((1.0, 0.0), (1.1, 0.0)), False, False, large=(False, True)) == 1.0


def test_who_left_while_he_was_seen_as_a_part_of_a_wall_is_not_waited_for_for_ever() -> None:
    """The wall alone begins behind where he stood; for a while that may be him, a step further back."""
    memory = LabelMemory(keep=1.0, doubt=5.0)
    nearest(memory, 0.0, seen((0.9, 0.0)), True)
    nearest(memory, 0.5, seen((0.9, 0.0)), False, large=(True,))
    assert nearest(memory, 5.4, seen((1.25, 0.0)), False, large=(True,)) == 0.9
    assert nearest(memory, 5.6, seen((1.25, 0.0)), False, large=(True,)) == math.inf


def test_a_large_thing_that_has_the_label_counts_itself() -> None:
    assert nearest(LabelMemory(), 0.0, seen((0.7, 0.0)), True, large=(True,)) == 0.7


def test_a_person_who_comes_near_and_is_only_an_obstacle_stays_one() -> None:
    memory = LabelMemory()
    assert nearest(memory, 0.0, seen((2.0, 0.0), (0.5, 2.0)), True, False) == 2.0
    for step in range(1, 16):
        distance = 2.0 - 0.1 * step
        assert nearest(memory, step / 10, seen((distance, 0.0), (0.5, 2.0)), False, False) == distance


def test_what_was_never_a_person_is_not_watched() -> None:
    memory = LabelMemory()
    assert nearest(memory, 0.0, seen((0.3, 0.0)), False) == math.inf
    assert nearest(memory, 0.1, seen((0.3, 0.0)), False) == math.inf


def test_who_vanishes_is_where_he_was_for_a_moment() -> None:
    memory = LabelMemory(keep=1.0)
    nearest(memory, 0.0, seen((0.8, 0.1)), True)
    assert nearest(memory, 0.9, seen()) == 0.8
    assert nearest(memory, 1.1, seen()) == math.inf
    assert nearest(memory, 1.2, seen((0.8, 0.1)), False) == math.inf


def test_a_label_that_is_still_there_goes_to_nobody_else() -> None:
    memory = LabelMemory()
    nearest(memory, 0.0, seen((1.0, 0.0)), True)
    # A chair beside the person, nearer to where the person was.
    assert nearest(memory, 0.1, seen((0.95, 0.0), (1.2, 0.0)), False, True) == 1.2


@given(st.lists(st.lists(st.tuples(st.floats(0, 5), st.floats(-3, 3), st.booleans()), max_size=4), max_size=6))
def test_a_labeled_thing_always_counts(history: list[list[tuple[float, float, bool]]]) -> None:
    memory = LabelMemory()
    for step, things in enumerate(history):
        shown = seen(*((r, b) for r, b, _ in things))
        labeled = [label for *_, label in things]
        least = min((r for r, _, label in things if label), default=math.inf)
        assert nearest(memory, step / 10, shown, *labeled) <= least


def test_unknown_ranges_are_not_remembered() -> None:
    memory = LabelMemory()
    assert nearest(memory, 0.0, seen((math.nan, 0.0)), True) == math.inf
    assert nearest(memory, 0.1, seen((1.0, 0.0)), False) == math.inf
