"""What the decoders' tests share: candidates as sorted rows, and boxes computed in plain Python."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.decoders.protocol import Candidates, Decoder, DecoderContext
from robot_ai.perception.decoders.registry import create_decoder

Row = tuple[float, ...]  # score, class, left, top, right, bottom

HEIGHT, WIDTH, CLASSES = 32, 64, 3


def build(
    name: str, outputs: dict[str, NDArray[Any]], options: dict[str, Any] | None = None, classes: int = CLASSES
) -> Decoder:
    """The decoder for a network of 64x32 pixels that gives outputs of these shapes, of any batch."""
    shapes: dict[str, tuple[int | None, ...]] = {key: (None, *array.shape[1:]) for key, array in outputs.items()}
    return create_decoder(name, options or {}, DecoderContext(HEIGHT, WIDTH, classes, shapes))


def rows(candidates: Candidates) -> list[Row]:
    """The candidates, sorted, after a check of their types."""
    assert candidates.xyxy.shape == (len(candidates), 4)
    assert candidates.xyxy.dtype == candidates.scores.dtype == np.float32
    assert candidates.class_indices.dtype == np.int64
    columns = zip(candidates.scores.tolist(), candidates.class_indices.tolist(), candidates.xyxy.tolist(), strict=True)
    return sorted((score, index, *box) for score, index, box in columns)


def assert_same(found: list[Row], wanted: list[Row]) -> None:
    """The same candidates, up to float32's rounding."""
    assert len(found) == len(wanted)
    expected = np.array(sorted(wanted)).reshape(-1, 6)
    np.testing.assert_allclose(np.array(found).reshape(-1, 6), expected, atol=2e-4, rtol=1e-5)


def clipped(left: float, top: float, right: float, bottom: float, reach: int = 0) -> tuple[float, float, float, float]:
    """A box inside the input, or inside `reach` times its sides around it."""
    wide, high = (1 + reach) * WIDTH, (1 + reach) * HEIGHT
    return (
        min(max(left, -reach * WIDTH), wide),
        min(max(top, -reach * HEIGHT), high),
        min(max(right, -reach * WIDTH), wide),
        min(max(bottom, -reach * HEIGHT), high),
    )


def from_center(x: float, y: float, width: float, height: float, reach: int = 0) -> tuple[float, float, float, float]:
    """A box given by its center and size, clipped."""
    return clipped(x - width / 2, y - height / 2, x + width / 2, y + height / 2, reach)


def sigmoid(value: float) -> float:
    """1 / (1 + e^-x)."""
    return 1 / (1 + math.exp(-value))


def softmax(values: list[float]) -> list[float]:
    """Softmax."""
    weights = [math.exp(value - max(values)) for value in values]
    return [weight / sum(weights) for weight in weights]
