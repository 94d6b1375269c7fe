"""Array arithmetic that decoders share: scores, boxes, the choice of the best."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import ClassIndexError, ScoreRangeError
from robot_ai.perception.decoders.protocol import Candidates, DecoderContext

# Rounding, and the steps of an 8-bit output, may carry a probability a little past 1.
SCORE_SLACK = 0.02
ACTIVATIONS = ("none", "sigmoid")


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float32]:
    """1 / (1 + exp(-x)) in float32, without overflow."""
    return np.asarray(0.5 * (np.tanh(0.5 * logits.astype(np.float32, copy=False)) + 1), np.float32)


def softmax(logits: NDArray[Any]) -> NDArray[np.float32]:
    """Softmax over the last axis in float32."""
    logits = logits.astype(np.float32, copy=False)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True), np.float32)


def probabilities(decoder: str, scores: NDArray[Any]) -> NDArray[np.float32]:
    """Scores as float32, at most 1. Raises ScoreRangeError when they cannot be probabilities."""
    scores = scores.astype(np.float32, copy=False)
    highest = float(scores.max(initial=0))
    if highest > 1 + SCORE_SLACK:
        raise ScoreRangeError(
            f"decoder '{decoder}': a score is {highest:g}; expected probabilities from 0 to 1. If the model gives "
            "logits, set the decoder's option 'activation', where it has one; else this is not the model's decoder, or "
            "its outputs are mixed up"
        )
    return np.minimum(scores, np.float32(1)) if highest > 1 else scores


def best_per_row(
    scores: NDArray[Any], confidence: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of scores (N, C), the rows, classes and scores of each row's best class, where that is at least `confidence`."""
    best = scores.max(axis=1)
    rows = np.flatnonzero(best >= confidence)
    return rows, scores[rows].argmax(axis=1), best[rows].astype(np.float32, copy=False)


def all_above(
    scores: NDArray[Any], confidence: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of scores (N, C), the rows, classes and scores of everything that is at least `confidence`."""
    rows, classes = np.nonzero(scores >= confidence)
    return rows, classes, scores[rows, classes].astype(np.float32, copy=False)


def best_mask(scores: NDArray[Any], most: int) -> NDArray[np.bool_]:
    """A mask of the best `most` of scores (N,)."""
    surplus = len(scores) - most
    mask = np.ones(len(scores), np.bool_)
    if surplus > 0:
        mask[np.argpartition(scores, surplus)[:surplus]] = False
    return mask


def xyxy_from_center(boxes: NDArray[Any]) -> NDArray[np.float32]:
    """Boxes (N, 4) of center x, center y, width, height as left, top, right, bottom, float32."""
    boxes = boxes.astype(np.float32, copy=False)
    half = boxes[:, 2:] * np.float32(0.5)
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def candidates(
    decoder: str,
    boxes: NDArray[Any],
    scores: NDArray[Any],
    classes: NDArray[Any],
    context: DecoderContext,
    *,
    reach: int = 0,
) -> Candidates:
    """Candidates of boxes clipped to the input, or to `reach` times its sides around it.

    Raises ClassIndexError for a class that has no label.
    """
    wrong = (classes < 0) | (classes >= context.num_classes)
    if wrong.any():
        raise ClassIndexError(
            f"decoder '{decoder}': the model gives class {int(classes[wrong][0])} (counted from 0) but the card has "
            f"{context.num_classes} labels; expected classes from 0 to {context.num_classes - 1}. Correct 'labels', or "
            "the decoder's option 'first_class' where it has one"
        )
    limits = np.array([context.width, context.height] * 2, np.float32)
    clipped = np.clip(boxes.astype(np.float32, copy=False), -reach * limits, (1 + reach) * limits)
    return Candidates(clipped, scores.astype(np.float32, copy=False), classes.astype(np.int64, copy=False))
