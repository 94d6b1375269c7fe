"""Noise of images, cheap enough for every pixel of every frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Drawn once; each frame takes a piece from a random place, which costs a tenth of drawing anew.
_BANK = 1 << 21


class ImageNoise:
    """Gaussian noise. deviation: in shares of full brightness."""

    def __init__(self, deviation: float, rng: np.random.Generator) -> None:
        self._bank = np.empty(0, np.int16)
        if deviation:
            self._bank = np.rint(rng.standard_normal(_BANK, np.float32) * deviation * 255).astype(np.int16)

    def add(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """A noisy image of the same shape, uint8."""
        if not self._bank.size:
            return image
        size = image.size
        bank = self._bank if size < _BANK else np.tile(self._bank, size // _BANK + 2)
        start = int(rng.integers(0, len(bank) - size))
        noise = bank[start : start + size].reshape(image.shape)
        return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)
