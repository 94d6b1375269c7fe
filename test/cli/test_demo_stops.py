"""Stops as the demo tells them, from what it hears in the order in which it is heard."""

from __future__ import annotations

import math

import numpy as np
import pytest

from robot_ai.cli.demo_drive import spread
from robot_ai.cli.demo_stops import FRONT, StopLog, outline_gap
from robot_ai.lidar.detections import Detections3D

NOBODY = Detections3D.empty()


def boxes(*rows: tuple[str, float, float]) -> Detections3D:
    """Things 0.4 m square: label, x, y of the middle."""
    count = len(rows)
    centers = np.array([(x, y, 0.9) for _, x, y in rows], np.float32)
    sizes = np.tile(np.array([0.4, 0.4, 1.7], np.float32), (count, 1))
    labels = ("person", "chair")
    indices = np.array([labels.index(label) for label, *_ in rows], np.int64)
    return Detections3D(centers, sizes, np.zeros(count, np.float32), np.ones(count, np.float32), indices, labels)


def driving(log: StopLog) -> StopLog:
    log.said_stop(0.0, True)
    log.said_stop(1.0, False)
    log.moved(2.0, 0.4)
    return log


def test_the_start_is_no_stop() -> None:
    log = driving(StopLog())
    assert not log.stops and log.stopped is False


def test_a_stop_before_a_person_who_goes_away() -> None:
    log = driving(StopLog())
    log.saw_people(
        ["chair", "walking_man", "woman"], boxes(("chair", 0.8, 0.0), ("person", 1.2, 0.0), ("person", 1.5, 0.0))
    )
    log.said_stop(3.0, True)
    assert log.latest is not None and log.latest.before == "before walking_man, 0.80 m away"
    log.moved(3.1, 0.3)
    log.said_state("STOP", "STOP: obstacle at 1.00 m, nearer than 1.1 m")
    log.saw_people([], NOBODY)
    log.said_stop(5.0, False)
    log.moved(5.1, 0.0)
    log.moved(5.5, 0.1)
    (stop,) = log.stops
    assert log.latest is None
    assert stop.text == "at   3.0 s before walking_man, 0.80 m away, drove on after 2.5 s"
    assert log.nearest == pytest.approx(0.8, abs=0.01)


def test_of_what_was_before_the_drive_only_a_stop_that_lasts_counts() -> None:
    log = driving(StopLog())
    log.said_stop(3.0, True)
    log.said_stop(4.0, False)
    log.moved(4.5, 0.3)
    log.saw_people(["man"], boxes(("person", 1.2, 0.0)))
    log.said_stop(7.0, True)
    log.begin()
    log.said_stop(1.0, False)
    log.moved(1.5, 0.3)
    (stop,) = log.stops
    assert (stop.at, stop.person, stop.lasted) == (0.0, "man", 1.5)
    log.begin()
    assert not log.stops


def test_turning_away_belongs_to_the_stop() -> None:
    log = driving(StopLog())
    log.saw_people(["man"], boxes(("person", 1.2, 0.0)))
    log.said_stop(3.0, True)
    log.said_stop(4.5, False)
    log.said_state("TURN_ONLY", "TURN_ONLY: obstacle at 1.00 m, nearer than 1.1 m")
    log.said_stop(5.0, True)
    log.said_stop(6.5, False)
    log.moved(7.0, 0.3)
    (stop,) = log.stops
    assert (stop.turned, stop.lasted) == (True, 4.0)
    assert "turned away" in stop.text


def test_a_stop_for_another_reason_is_before_nobody() -> None:
    log = driving(StopLog())
    log.saw_people(["man", "behind"], boxes(("person", 1.8, 0.0), ("person", -0.6, 0.0)))
    log.said_stop(3.0, True)
    log.said_state("STOP", "STOP: all well; resuming in 0.3 s")
    log.said_state("STOP", "STOP: detections older than 1 s")
    (stop,) = log.stops
    assert not stop.is_before_a_person
    assert stop.text == "at   3.0 s for detections older than 1 s, still stands"
    assert log.as_plain()[0]["lasted"] is None


def test_who_passes_while_the_robot_stands_is_not_what_it_came_near() -> None:
    log = driving(StopLog())
    log.moved(3.0, 0.0)
    log.saw_people(["man"], boxes(("person", 0.5, 0.0)))
    assert log.nearest == math.inf


def test_the_gap_is_from_the_outline_to_the_box() -> None:
    corners = np.array([(1.0, -0.5), (1.4, -0.5), (1.4, 0.5), (1.0, 0.5)])
    assert outline_gap(corners) == pytest.approx(1.0 - FRONT, abs=0.01)
    assert outline_gap(corners - (1.2, 0.0)) == 0.0


def test_pictures_of_stops_are_among_those_chosen() -> None:
    assert spread(60, 6) == [0, 12, 24, 35, 47, 59]
    assert spread(60, 6, [13, 14]) == [0, 13, 14, 35, 47, 59]
    assert spread(2, 6, [1]) == [0, 1]
    assert spread(1, 6) == [0]
