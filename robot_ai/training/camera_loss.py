"""The loss that NanoDet's head is fine-tuned with: true boxes of the simulator, and the original's answers elsewhere.

Scores by Quality Focal Loss, sides by Distribution Focal Loss (Li et al., 2020, arXiv:2006.04388), boxes by GIoU
(Rezatofighi et al., 2019, arXiv:1902.09630), with upstream's weights; what is not labeled follows the original by
distillation (Hinton et al., 2015, arXiv:1503.02531), whose loss is nothing where both agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from robot_ai.models.networks import nanodet_plan as plan

_GIOU, _DFL = 2.0, 0.25


@dataclass(frozen=True)
class Cells:
    """K chosen cells. logits: (K, classes) scores before the sigmoid; sides: (K, 4, BINS) logits."""

    logits: Tensor
    sides: Tensor


@dataclass(frozen=True)
class CellTargets:
    """What K cells are to say. labels: (K,) int64, -1 background. boxes: (K, 4) xyxy in pixels.

    weights: (K,), of the background's cells, each of which stands for so many. is_labeled: (K,), whether the cell is of
    a view with true boxes. taught: (classes,), whether the world has things of a class; other classes have no truth.
    """

    labels: Tensor
    boxes: Tensor
    centers: Tensor
    strides: Tensor
    weights: Tensor
    is_labeled: Tensor
    taught: Tensor


def loss_of(cells: Cells, original: Cells, targets: CellTargets, distill: float) -> dict[str, Tensor]:
    """The parts of the loss by name; `distill` weighs the last two."""
    positive = torch.nonzero(targets.labels >= 0).squeeze(1)
    quality = torch.zeros_like(cells.logits)
    centers, strides = targets.centers[positive], targets.strides[positive]
    sides, true = cells.sides[positive], targets.boxes[positive]
    boxes = expected_boxes(sides, centers, strides)
    labels = targets.labels[positive]
    quality[positive, labels] = aligned_ious(boxes.detach(), true)[0]
    asked = targets.is_labeled[:, None] & targets.taught[None]
    scores = quality_focal(cells.logits, quality) * asked * targets.weights[:, None]
    count = max(len(positive), 1)
    # Cells that are sure of their class draw the boxes; upstream does the same.
    sure = cells.logits.detach()[positive, labels].sigmoid()
    total = sure.sum().clamp(min=1e-6)
    wanted = torch.cat([centers - true[:, :2], true[:, 2:] - centers], dim=1) / strides[:, None]
    return {
        "scores": scores.sum() / count,
        "boxes": _GIOU * ((1 - aligned_ious(boxes, true)[1]) * sure).sum() / total,
        "sides": _DFL * (distribution_focal(sides, wanted).mean(dim=1) * sure).sum() / total,
        **_distillation(cells, original, targets, ~asked, distill),
    }


def _distillation(
    cells: Cells, original: Cells, targets: CellTargets, untold: Tensor, weight: float
) -> dict[str, Tensor]:
    """How far the scores that nobody labeled, and the boxes of photos, are from the original's."""
    before = original.logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(original.logits, before, reduction="none")
    apart = functional.binary_cross_entropy_with_logits(cells.logits, before, reduction="none") - entropy
    strength = before.amax(dim=1) * ~targets.is_labeled
    spread = functional.kl_div(
        cells.sides.log_softmax(dim=2), original.sides.log_softmax(dim=2), reduction="none", log_target=True
    ).sum(dim=2)
    total = (before * untold).sum().clamp(min=1.0)
    return {
        "distilled_scores": weight * (apart * untold * targets.weights[:, None]).sum() / total,
        "distilled_sides": weight * (spread.mean(dim=1) * strength).sum() / strength.sum().clamp(min=1.0),
    }


def quality_focal(logits: Tensor, quality: Tensor) -> Tensor:
    """|quality - sigma|^2 times the cross-entropy, elementwise (equation 5 with beta = 2)."""
    distance = (quality - logits.sigmoid()).abs()
    cross = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    return distance**2 * cross


def distribution_focal(sides: Tensor, wanted: Tensor) -> Tensor:
    """(K, 4) of logits (K, 4, BINS): the cross-entropy of the two bins around the wanted distances (K, 4) in strides,
    weighted by nearness (equation 6)."""
    wanted = wanted.clamp(0, plan.BINS - 1.01)
    lower = wanted.long()
    share = wanted - lower
    logs = sides.log_softmax(dim=2)
    below, above = (logs.gather(2, (lower + step)[..., None]).squeeze(2) for step in (0, 1))
    return -(below * (1 - share) + above * share)


def expected_boxes(sides: Tensor, centers: Tensor, strides: Tensor) -> Tensor:
    """(K, 4) xyxy in pixels: the expectation of each side's distribution, from the cell's center."""
    steps = torch.arange(plan.BINS, dtype=sides.dtype)
    distances = (sides.softmax(dim=2) @ steps) * strides[:, None]
    return torch.cat([centers - distances[:, :2], centers + distances[:, 2:]], dim=1)


def aligned_ious(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and GIoU, (K,) each, of boxes (K, 4) with boxes (K, 4)."""
    shared = _area(torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:]))
    around = _area(torch.minimum(first[:, :2], second[:, :2]), torch.maximum(first[:, 2:], second[:, 2:]))
    union = _area(first[:, :2], first[:, 2:]) + _area(second[:, :2], second[:, 2:]) - shared
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (around - union) / around.clamp(min=1e-6)


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(dim=1)
