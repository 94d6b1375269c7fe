"""Scans by REP-117."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_ai.lidar import errors
from robot_ai.lidar.scans import MAX_BEAMS, RawScan, scan_points


def scan(ranges, **changes):
    return RawScan(
        **{"angle_min": -1.0, "angle_increment": 0.5, "range_min": 0.1, "range_max": 10.0, "ranges": ranges, **changes}
    )


def test_points_lie_where_the_beams_point():
    found = scan_points(scan([1.0, 2.0, 3.0], intensities=[7, 8, 9]))
    angles = [-1.0, -0.5, 0.0]
    expected = [[r * math.cos(a), r * math.sin(a), 0] for r, a in zip([1, 2, 3], angles, strict=True)]
    assert found.points == pytest.approx(np.array(expected), abs=1e-6)
    assert found.intensities.tolist() == [7, 8, 9]


def test_rep_117():
    found = scan_points(scan([-np.inf, np.nan, np.inf, 0.05, 0.1, 10.0, 10.1]))
    assert found.beams.tolist() == [4, 5]
    assert found.intensities is None


def test_an_unbounded_range_max_does_not_make_nothing_a_point():
    assert scan_points(scan([1e9, np.inf], range_max=np.inf)).beams.tolist() == [0]


@pytest.mark.parametrize(
    "changes",
    [
        {"angle_min": np.nan},
        {"angle_increment": np.inf},
        {"angle_increment": 0.0},
        {"range_min": np.nan},
        {"range_max": np.nan},
        {"range_min": 5.0, "range_max": 1.0},
        {"intensities": [1.0]},
    ],
)
def test_contradictions_are_refused(changes):
    with pytest.raises(errors.ScanError, match="expected"):
        scan_points(scan([1.0, 2.0], **changes))


def test_all_nan_and_too_large():
    with pytest.raises(errors.CloudNotFiniteError):
        scan_points(scan([np.nan, np.nan]))
    with pytest.raises(errors.CloudSizeError):
        scan_points(scan(np.ones(MAX_BEAMS + 1)))
    assert not len(scan_points(scan([np.inf, np.inf])).points)
    assert not len(scan_points(scan([])).points)


@given(st.lists(st.floats(width=32), max_size=30), st.floats(-7, 7), st.floats(0.001, 0.5))
def test_any_scan_gives_valid_points_or_a_fault(ranges, angle_min, increment):
    try:
        found = scan_points(scan(ranges, angle_min=angle_min, angle_increment=increment))
    except errors.CloudError:
        return
    assert np.isfinite(found.points).all()
    assert np.linalg.norm(found.points, axis=1) == pytest.approx(found.ranges, rel=1e-5)
    assert found.points[:, 2].tolist() == [0] * len(found.points)
