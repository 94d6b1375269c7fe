"""Which cells are to find a box, and the loss, against cases worked out by hand."""

import math

import numpy as np
import pytest

from robot_ai.training.camera_targets import BACKGROUND, IGNORED, assign, cells

torch = pytest.importorskip("torch", reason="the loss is PyTorch's")
from robot_ai.training import camera_loss as loss  # noqa: E402

BINS = 11


def boxes(*rows):
    return np.array(rows, np.float32).reshape(-1, 4)


def test_a_box_of_an_anchor_s_size_is_found_by_the_cell_in_its_middle():
    centers, strides = cells(416)
    assert len(centers) == 52**2 + 26**2 + 13**2
    # Around the middle of a cell of stride 16, as large as its anchor.
    targets = assign(boxes([160, 160, 240, 240]), np.array([7]), boxes(), centers, strides)
    middle = np.flatnonzero((centers == 200).all(axis=1) & (strides == 16))
    assert targets.labels[middle].tolist() == [7]
    assert targets.boxes[middle].tolist() == [[160, 160, 240, 240]]
    found = np.flatnonzero(targets.labels == 7)
    assert ((centers[found] > 160) & (centers[found] < 240)).all()
    assert set(targets.labels.tolist()) == {7, BACKGROUND}


def test_what_is_hardly_visible_is_neither_right_nor_wrong():
    centers, strides = cells(416)
    targets = assign(boxes(), np.array([], np.int64), boxes([0, 0, 64, 64]), centers, strides)
    inside = (centers < 64).all(axis=1)
    assert (targets.labels[inside] == IGNORED).all()
    assert (targets.labels[~inside] == BACKGROUND).all()


def test_quality_focal_loss():
    value = loss.quality_focal(torch.tensor([0.0]), torch.tensor([0.8]))
    # |0.8 - 0.5|^2 * ln 2, as the cross-entropy at one half is ln 2 for any target.
    assert value.item() == pytest.approx(0.09 * math.log(2), abs=1e-6)


def test_distribution_focal_loss_wants_both_neighbors():
    sides = torch.zeros(1, 4, BINS)
    assert loss.distribution_focal(sides, torch.full((1, 4), 2.25)).tolist()[0] == pytest.approx([math.log(BINS)] * 4)
    sides[..., 2], sides[..., 3] = math.log(3.0) + 50, 50.0
    # The best distribution, three to one, leaves its own entropy.
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert loss.distribution_focal(sides, torch.full((1, 4), 2.25)).tolist()[0] == pytest.approx(
        [entropy] * 4, abs=1e-5
    )


def test_overlaps_by_hand():
    iou, giou = loss.aligned_ious(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 1, 3, 3]]))
    assert iou.item() == pytest.approx(1 / 7)
    assert giou.item() == pytest.approx(1 / 7 - 2 / 9)


def test_nothing_is_lost_where_a_photo_is_seen_as_before():
    cells_ = loss.Cells(torch.randn(5, 80, generator=torch.manual_seed(1)), torch.randn(5, 4, BINS))
    targets = loss.CellTargets(
        labels=torch.full((5,), -1),
        boxes=torch.zeros(5, 4),
        centers=torch.zeros(5, 2),
        strides=torch.full((5,), 8.0),
        weights=torch.ones(5),
        is_labeled=torch.zeros(5, dtype=torch.bool),
        taught=torch.ones(80, dtype=torch.bool),
    )
    same = loss.loss_of(cells_, cells_, targets, distill=1.0)
    assert sum(part.item() for part in same.values()) == pytest.approx(0, abs=1e-5)
    moved = loss.Cells(cells_.logits + 0.5, cells_.sides * 2)
    parts = loss.loss_of(moved, cells_, targets, distill=1.0)
    assert parts["distilled_scores"] > 0.01
    assert parts["distilled_sides"] > 0.01
    assert parts["scores"] == parts["boxes"] == parts["sides"] == 0
