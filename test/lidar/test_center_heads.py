"""The decoder gives back what targets say, from any place and heading."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_ai.lidar.center_heads import COLUMNS, CenterHeads, targets_of
from robot_ai.lidar.detections import LABELS, Detections3D
from robot_ai.lidar.errors import CenterHeadsError
from robot_ai.lidar.pillars import PillarGrid, Pillars, encode

GRID, STRIDE, CLASSES = PillarGrid(64, 0.25), 2, ("person", "cyclist", "vehicle")
HEADS = CenterHeads(GRID, STRIDE, CLASSES)


def boxes_of(rows: list[tuple[str, float, float, float]]) -> Detections3D:
    """Boxes of (label, x, y, yaw), 1.2 m above a ground at z = -1."""
    count = len(rows)
    return Detections3D(
        np.array([[x, y, 0.2] for _, x, y, _ in rows], np.float32).reshape(-1, 3),
        np.full((count, 3), (4.2, 1.8, 1.6), np.float32),
        np.array([yaw for *_, yaw in rows], np.float32),
        np.full(count, 0.9, np.float32),
        np.array([LABELS.index(label) for label, *_ in rows], np.int64),
    )


def outputs_of(boxes: Detections3D) -> dict[str, np.ndarray]:
    """What a perfect network gives for boxes whose middles are 1.2 m above the ground."""
    side = HEADS.cells
    scores, raw = np.zeros((1, side * side, 3), np.float32), np.zeros((1, side * side, COLUMNS), np.float32)
    cells = np.floor((boxes.centers[:, 1::-1] + GRID.reach) / (GRID.cell * STRIDE)).astype(int)
    flat = cells[:, 0] * side + cells[:, 1]
    scores[0, flat, [CLASSES.index(name) for name in boxes.names]] = boxes.scores
    raw[0, flat] = targets_of(boxes, np.full(len(boxes), 1.2, np.float32), GRID, STRIDE, cells)
    return {"scores": scores, "boxes": raw}


def pillars_around(boxes: Detections3D) -> Pillars:
    points = boxes.centers + np.array([0.3, 0.2, 0.1], np.float32)
    return encode(points, points[:, 2] + 1.0, GRID)


@settings(max_examples=60, deadline=None)
@given(
    label=st.sampled_from(CLASSES),
    x=st.floats(-7.5, 7.5),
    y=st.floats(-7.5, 7.5),
    yaw=st.floats(-1.5, 1.5),
)
def test_what_targets_say_is_decoded(label: str, x: float, y: float, yaw: float) -> None:
    boxes = boxes_of([(label, x, y, yaw)])
    found = HEADS.decode(outputs_of(boxes), 0, 0.3, pillars_around(boxes))
    assert found.names == [label]
    np.testing.assert_allclose(found.centers, boxes.centers, atol=2e-3)
    np.testing.assert_allclose(found.sizes, boxes.sizes, rtol=1e-4)
    np.testing.assert_allclose(found.yaws, boxes.yaws, atol=1e-4)


def test_batch_items_and_thresholds_are_kept_apart() -> None:
    first, second = boxes_of([("person", 3, 4, 0)]), boxes_of([("vehicle", -3, -4, 0.5)])
    both = {name: np.concatenate([outputs_of(first)[name], outputs_of(second)[name]]) for name in ("scores", "boxes")}
    assert HEADS.decode(both, 0, 0.3, pillars_around(first)).names == ["person"]
    assert HEADS.decode(both, 1, 0.3, pillars_around(second)).names == ["vehicle"]
    assert len(HEADS.decode(both, 1, 0.95, pillars_around(second))) == 0


def test_one_thing_is_told_once_by_its_best_class() -> None:
    near = boxes_of(
        [("vehicle", 2.1, 2.1, 0), ("vehicle", 3.3, 2.1, 0), ("person", 2.7, 2.1, 0), ("person", 6, 2.1, 0)]
    )
    scored = Detections3D(
        near.centers, near.sizes, near.yaws, np.array([0.9, 0.8, 0.4, 0.5], np.float32), near.class_indices
    )
    found = HEADS.decode(outputs_of(scored), 0, 0.3, pillars_around(scored))
    assert found.names == ["vehicle", "person"]


def test_nothing_is_told_where_no_point_is() -> None:
    boxes = boxes_of([("vehicle", 4, 4, 0), ("vehicle", -5, -5, 0)])
    only_first = pillars_around(boxes.take(np.array([0])))
    assert len(HEADS.decode(outputs_of(boxes), 0, 0.3, only_first)) == 1
    nothing = encode(np.empty((0, 3), np.float32), np.empty(0, np.float32), GRID)
    assert len(HEADS.decode(outputs_of(boxes), 0, 0.3, nothing)) == 0


def test_wild_outputs_and_unknown_classes_are_named() -> None:
    boxes = boxes_of([("person", 3, 4, 0)])
    outputs = outputs_of(boxes)
    outputs["boxes"][0, 5, 2] = np.nan
    with pytest.raises(CenterHeadsError, match="NaN"):
        HEADS.decode(outputs, 0, 0.3, pillars_around(boxes))
    with pytest.raises(CenterHeadsError, match="'dog'"):
        CenterHeads(GRID, STRIDE, ("person", "dog"))
