"""A coarse class for a box by its size: what a lidar without a learned model can say, and no more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robot_ai.lidar.detections import LABELS

Floats = NDArray[np.float32]

# How far, as a part of a bound, a size may lie outside it before the class is ruled out.
_SOFTNESS = 0.15
_OBSTACLE_SCORE = 0.5


@dataclass(frozen=True)
class SizeRule:
    """What a class of objects measures in a lidar's view, in meters: (least, most).

    `height` is the top above the ground. `gap` is the most that a point in the middle may lie inside the box's sides.
    """

    label: str
    length: tuple[float, float]
    width: tuple[float, float]
    height: tuple[float, float]
    gap: float = np.inf


RULES = (
    # Arms and a step make a person longer than wide; the lidar sees one side.
    SizeRule("person", (0.35, 1.2), (0.15, 0.9), (1.2, 2.05)),
    SizeRule("cyclist", (1.3, 2.1), (0.2, 0.9), (1.3, 2.05)),
    # Of a car ahead only the rear is seen. What is higher is a truck, or a wall, a hedge, a tree: far more often these.
    SizeRule("vehicle", (1.5, 7.0), (0.6, 2.6), (1.1, 2.5), gap=0.25),
)


def classify(sizes: Floats, tops: Floats, bottoms: Floats, edge_gaps: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Class index into LABELS and score (N,) of boxes.

    sizes: (N, 3) length, width, height; tops and bottoms: (N,) height of the box's upper and lower face above the
    ground; edge_gaps: as in OrientedBoxes. All in meters. What floats more than 0.6 m above the ground has no class.
    """
    scores = np.stack([_membership(rule, sizes, tops, edge_gaps) for rule in RULES], axis=1)
    scores[bottoms > 0.6] = 0.0
    best = np.argmax(scores, axis=1)
    score = scores[np.arange(len(best)), best]
    indices = np.array([LABELS.index(rule.label) for rule in RULES])[best]
    is_obstacle = score < _OBSTACLE_SCORE
    classes = np.where(is_obstacle, LABELS.index("obstacle"), indices).astype(np.int64)
    return classes, np.where(is_obstacle, _OBSTACLE_SCORE, score).astype(np.float32)


def _membership(rule: SizeRule, sizes: Floats, tops: Floats, edge_gaps: Floats) -> Floats:
    """(N,): 1 well inside the rule's bounds, falling to 0 where one of them is missed by its softness."""
    measured = ((sizes[:, 0], rule.length), (sizes[:, 1], rule.width), (tops, rule.height), (edge_gaps, (-1, rule.gap)))
    parts = [_trapezoid(values, *bounds) for values, bounds in measured]
    result: Floats = np.minimum.reduce(parts).astype(np.float32)
    return result


def _trapezoid(values: Floats, low: float, high: float) -> Floats:
    """Half at the bounds, 1 beyond a softness inside them, 0 beyond a softness outside."""
    margin_low, margin_high = abs(low) * _SOFTNESS, high * _SOFTNESS if np.isfinite(high) else 1.0
    rising = (values - low) / (2 * margin_low) + 0.5
    falling = (high - values) / (2 * margin_high) + 0.5 if np.isfinite(high) else np.ones_like(values)
    return np.clip(np.minimum(rising, falling), 0.0, 1.0)
