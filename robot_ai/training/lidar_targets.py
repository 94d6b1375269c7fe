"""What the network should answer to a sample, and how far it is from that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from robot_ai.lidar.center_heads import ground_below, targets_of
from robot_ai.lidar.pillars import PillarGrid, Pillars
from robot_ai.models.networks import pillarnet_plan as plan
from robot_ai.training.lidar_samples import Sample

CLASSES = ("person", "cyclist", "vehicle")
# Standard deviation of the peak of each class, in meters, and how far around the center boxes are learned.
_SPREAD = {"person": 0.45, "cyclist": 0.6, "vehicle": 0.9}
_BOX_REACH = 2.0
# Fewer points cannot be asked to be seen, nor held against the network.
_LEAST_SEEN = 5
_BOX_WEIGHTS = (1.0, 1.0, 1.0, 0.7, 0.7, 0.7, 0.7, 0.7)


@dataclass(frozen=True)
class Targets:
    """heat: (classes, h, w); asked: (h, w), 0 where nothing is held against the network; cells: (K,) flat indices at
    which boxes are learned, boxes: (K, 8), weights: (K,); objects: how many there are.
    """

    heat: NDArray[np.float32]
    asked: NDArray[np.float32]
    cells: NDArray[np.int64]
    boxes: NDArray[np.float32]
    weights: NDArray[np.float32]
    objects: int


@dataclass(frozen=True)
class Window:
    """A square part of the grid that is trained on: first row and column and side, in pillars, multiples of 8."""

    row: int
    column: int
    side: int

    def holds(self, points: NDArray[np.float32], grid: PillarGrid) -> NDArray[np.bool_]:
        """(N,): whether points (N, 3) around the lidar lie in the window."""
        at = points[:, :2] + np.float32(grid.reach)
        low = np.array([self.column, self.row], np.float32) * np.float32(grid.cell)
        inside = (at >= low) & (at < low + np.float32(self.side * grid.cell))
        return np.asarray(inside.all(axis=1), np.bool_)

    def cut(self, plane: NDArray[Any], stride: int = 1) -> NDArray[Any]:
        """The window's part of (..., side, side) cells `stride` pillars wide."""
        rows, columns = (slice(at // stride, (at + self.side) // stride) for at in (self.row, self.column))
        return plane[..., rows, columns]


def make_window(sample: Sample, grid: PillarGrid, side: int, rng: np.random.Generator) -> Window:
    """A window with one of the sample's things somewhere in it: things of rare classes as often as of frequent ones."""
    middle: NDArray[np.float64] = np.zeros(2)
    seen = np.flatnonzero(sample.seen >= _LEAST_SEEN)
    if len(seen):
        classes = sample.boxes.class_indices[seen]
        chosen = rng.choice(seen[classes == rng.choice(np.unique(classes))])
        middle = sample.boxes.centers[chosen, :2] / grid.cell + rng.uniform(-0.4, 0.4, 2) * side
    column, row = np.clip(middle + (grid.side - side) / 2, 0, grid.side - side).astype(int) // 8 * 8
    return Window(int(row), int(column), side)


def make_targets(sample: Sample, pillars: Pillars, grid: PillarGrid, window: Window | None = None) -> Targets:
    """The targets of a sample whose boxes lie in the grid, and which was encoded as `pillars`; of the window alone, if
    one is given.
    """
    window = window or Window(0, 0, grid.side)
    side, edge = grid.side // plan.STRIDE, grid.cell * plan.STRIDE
    heat: NDArray[np.float32] = np.zeros((len(CLASSES), side, side), np.float32)
    asked: NDArray[np.float32] = np.ones((side, side), np.float32)
    best: NDArray[np.float32] = np.zeros((side, side), np.float32)
    owner: NDArray[np.int64] = np.full((side, side), -1, np.int64)
    boxes = sample.boxes
    at = (boxes.centers[:, :2] + grid.reach) / edge
    for index, name in enumerate(boxes.names):
        if name not in CLASSES:
            continue
        spread = _SPREAD[name] / edge
        reach = int(np.ceil(3 * spread))
        x, y = at[index]
        left, low = max(int(x) - reach, 0), max(int(y) - reach, 0)
        around = (slice(low, min(int(y) + reach + 1, side)), slice(left, min(int(x) + reach + 1, side)))
        rows, columns = np.mgrid[around]
        squared = (columns + 0.5 - x) ** 2 + (rows + 0.5 - y) ** 2
        # The cell that holds the center is a peak of 1.
        peak = np.where((rows == int(y)) & (columns == int(x)), 1.0, np.exp(-squared / (2 * spread**2)))
        if sample.seen[index] < _LEAST_SEEN:
            asked[around] = np.where(peak > 0.1, 0.0, asked[around])
            continue
        plane = heat[CLASSES.index(name)]
        plane[around] = np.maximum(plane[around], peak)
        nearer = (squared < (_BOX_REACH * spread) ** 2) & (peak > best[around])
        best[around] = np.where(nearer, peak, best[around])
        owner[around] = np.where(nearer, index, owner[around])
    heat, asked, best, owner = (window.cut(plane, plan.STRIDE) for plane in (heat, asked, best, owner))
    learned = np.flatnonzero(owner.ravel() >= 0)
    whose = owner.ravel()[learned]
    first = (window.row // plan.STRIDE, window.column // plan.STRIDE)
    where = np.stack([learned // owner.shape[1], learned % owner.shape[1]], axis=1) + first
    # Measured from the ground that detection will set the boxes onto, not from the true one.
    ground, _ = ground_below(boxes, pillars)
    heights = (boxes.centers[:, 2] - ground)[whose]
    wanted = targets_of(boxes.take(whose), heights, grid, plan.STRIDE, where)
    return Targets(heat, asked, learned, wanted, best.ravel()[learned], int((heat == 1).sum()))


@dataclass(frozen=True)
class Loss:
    """The sum to be lessened, and its parts."""

    total: Tensor
    parts: dict[str, float]


def loss_of(cells: Tensor, targets: list[Targets]) -> Loss:
    """Of predictions (B, classes + 8, h, w): the penalty-reduced focal loss of CenterNet (arXiv:1904.07850, eq. 1) for
    the peaks, and the weighted absolute error of the boxes.
    """
    heat = torch.from_numpy(np.stack([t.heat for t in targets]))
    asked = torch.from_numpy(np.stack([t.asked for t in targets]))[:, None]
    logits = cells[:, : plan.CLASSES].float()
    certain = functional.logsigmoid(logits)
    doubtful = functional.logsigmoid(-logits)
    score = logits.sigmoid()
    peaks = (heat == 1.0).float() * asked
    positive = -(certain * (1 - score) ** 2 * peaks).sum()
    negative = -(doubtful * score**2 * (1 - heat) ** 4 * asked * (heat < 1).float()).sum()
    objects = max(1, sum(t.objects for t in targets))
    peak_loss = (positive + negative) / objects

    flat = cells[:, plan.CLASSES :].float().flatten(2).transpose(1, 2)
    batch = np.concatenate([np.full(len(t.cells), index) for index, t in enumerate(targets)])
    chosen = flat[torch.from_numpy(batch), torch.from_numpy(np.concatenate([t.cells for t in targets]))]
    wanted = torch.from_numpy(np.concatenate([t.boxes for t in targets]))
    weights = torch.from_numpy(np.concatenate([t.weights for t in targets]))
    errors = (chosen - wanted).abs() * torch.tensor(_BOX_WEIGHTS)
    box_loss = (errors.sum(dim=1) * weights).sum() / weights.sum().clamp(min=1.0)
    return Loss(peak_loss + box_loss, {"peaks": float(peak_loss.detach()), "boxes": float(box_loss.detach())})


def stack(features: list[NDArray[np.float32]]) -> Any:
    """A batch (B, C, side, side) as a tensor in channels-last memory."""
    return torch.from_numpy(np.stack(features)).contiguous(memory_format=torch.channels_last)
