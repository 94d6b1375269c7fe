"""Fitting a source image into a network's input and mapping boxes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

ResizeRule = Literal["stretch", "letterbox"]


@dataclass(frozen=True)
class Placement:
    """Where a source image lies in the network's input: x_network = x_source * scale_x + left, likewise y.

    Edges map to edges (a pixel centre is at +0.5), as cv2.resize maps them.
    """

    source_width: int
    source_height: int
    scale_x: float
    scale_y: float
    left: int
    top: int

    def to_network(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps boxes (N, 4) from source-image pixels to network pixels."""
        scale, offset = self._affine()
        return xyxy * scale + offset

    def to_source(self, xyxy: NDArray[np.float32]) -> NDArray[np.float32]:
        """Maps boxes (N, 4) from network pixels to source-image pixels, clipped to the image."""
        scale, offset = self._affine()
        limits = np.array([self.source_width, self.source_height] * 2, np.float32)
        clipped: NDArray[np.float32] = np.clip((xyxy - offset) / scale, 0, limits)
        return clipped

    def _affine(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        scale = np.array([self.scale_x, self.scale_y] * 2, np.float32)
        return scale, np.array([self.left, self.top] * 2, np.float32)


def place(source_width: int, source_height: int, width: int, height: int, rule: ResizeRule) -> Placement:
    """Computes where a source image goes in an input of width x height pixels.

    `stretch` fills the input and changes the aspect ratio; `letterbox` keeps it and centres the image between borders.
    """
    if rule == "stretch":
        return Placement(source_width, source_height, width / source_width, height / source_height, 0, 0)
    scale = min(width / source_width, height / source_height)
    inner_width = min(width, max(1, round(source_width * scale)))
    inner_height = min(height, max(1, round(source_height * scale)))
    return Placement(
        source_width,
        source_height,
        # The scale that rounding to whole pixels really left, so that boxes map back without a bias.
        inner_width / source_width,
        inner_height / source_height,
        (width - inner_width) // 2,
        (height - inner_height) // 2,
    )


def fit(
    image: NDArray[np.uint8], width: int, height: int, rule: ResizeRule, pad_value: int = 114
) -> tuple[NDArray[np.uint8], Placement]:
    """Resizes an image (H, W, 3) uint8 to (height, width, 3) bilinearly; borders of a letterbox get `pad_value`."""
    source_height, source_width = image.shape[:2]
    placement = place(source_width, source_height, width, height, rule)
    inner_width = round(source_width * placement.scale_x)
    inner_height = round(source_height * placement.scale_y)
    inner: NDArray[np.uint8] = cv2.resize(image, (inner_width, inner_height), interpolation=cv2.INTER_LINEAR)
    if (inner_width, inner_height) == (width, height):
        return inner, placement
    canvas = np.full((height, width, 3), pad_value, np.uint8)
    canvas[placement.top : placement.top + inner_height, placement.left : placement.left + inner_width] = inner
    return canvas, placement
