"""3D detections: validation and geometry."""

import numpy as np
import pytest

from robot_ai.lidar.detections import LABELS, Detections3D, ground_plan_iou
from robot_ai.lidar.errors import Detections3DError


def boxes(*rows):
    """Rows of x, y, z, length, width, height, yaw."""
    table = np.array(rows, np.float32).reshape(-1, 7)
    count = len(table)
    return Detections3D(
        table[:, :3], table[:, 3:6], table[:, 6], np.full(count, 0.5, np.float32), np.zeros(count, np.int64)
    )


def changed(**arrays):
    good = boxes((0, 0, 0, 4, 2, 1, 0))
    values = {name: getattr(good, name) for name in ("centers", "sizes", "yaws", "scores", "class_indices", "labels")}
    return Detections3D(**{**values, **arrays})


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"centers": np.zeros((1, 2), np.float32)}, "shape"),
        ({"yaws": np.zeros(2, np.float32)}, "shape"),
        ({"centers": np.full((1, 3), np.nan, np.float32)}, "NaN"),
        ({"yaws": np.full(1, np.inf, np.float32)}, "infinity"),
        ({"sizes": np.array([[1, -1, 1]], np.float32)}, "negative"),
        ({"scores": np.array([1.5], np.float32)}, "0-1"),
        ({"class_indices": np.array([9])}, "labels"),
    ],
)
def test_invalid_sets_are_refused(arrays, reason):
    with pytest.raises(Detections3DError, match=reason):
        changed(**arrays)


def test_empty_and_names():
    assert len(Detections3D.empty()) == 0
    assert changed(class_indices=np.array([2])).names == [LABELS[2]]
    assert Detections3D.empty().corners().shape == (0, 8, 3)


def test_corners_of_a_quarter_turn():
    corners = boxes((1, 2, 3, 4, 2, 1, np.pi / 2)).corners()[0]
    # Front left of a box that looks along y lies at -x, +y.
    assert corners[0] == pytest.approx([0, 4, 2.5], abs=1e-5)
    assert corners[4] == pytest.approx([0, 4, 3.5], abs=1e-5)
    assert corners.min(axis=0) == pytest.approx([0, 0, 2.5], abs=1e-5)


def test_contains():
    inside = boxes((0, 0, 0, 4, 2, 1, np.pi / 4)).contains(np.array([[1.3, 1.3, 0], [1.3, -1.3, 0], [0, 0, 0.6]]))
    assert inside.tolist() == [[True, False, False]]
    assert boxes((0, 0, 0, 4, 2, 1, 0)).contains(np.array([[2.05, 0, 0]]), margin=0.1).all()


def test_iou_by_hand():
    first = boxes((0, 0, 0, 4, 2, 1, 0))
    others = boxes(
        (0, 0, 5, 4, 2, 1, np.pi), (2, 0, 0, 4, 2, 1, 0), (0, 0, 0, 4, 2, 1, np.pi / 2), (9, 0, 0, 4, 2, 1, 0)
    )
    assert ground_plan_iou(first, others)[0] == pytest.approx([1, 4 / 12, 4 / 12, 0], abs=1e-3)


def test_moved_and_taken():
    both = boxes((0, 0, 0, 1, 1, 1, 0), (5, 5, 5, 1, 1, 1, 0)).moved(np.array([1.0, 2, 3]))
    assert both.take(np.array([False, True])).centers.tolist() == [[6, 7, 8]]
