"""The waits between a node's deaths."""

from __future__ import annotations

from robot_ai.bringup.backoff import LONGEST, SETTLED, Backoff


def test_each_death_doubles_the_wait_up_to_a_minute() -> None:
    backoff = Backoff()
    assert [backoff.delay(0.5) for _ in range(8)] == [1, 2, 4, 8, 16, 32, LONGEST, LONGEST]


def test_a_node_that_ran_well_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay(1.0)
    assert backoff.delay(SETTLED) == 1
    assert backoff.delay(1.0) == 2
