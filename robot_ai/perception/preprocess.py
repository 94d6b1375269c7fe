"""Images to the tensor that a network expects: fit, normalize, lay out, batch."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from robot_ai.models.specs import ImageInput
from robot_ai.perception.resize import Placement, fit


class ImagePreprocessor:
    """Fills one batch tensor, reused from call to call, from BGR images of any sizes."""

    def __init__(self, spec: ImageInput) -> None:
        self._spec = spec
        self._order = (0, 1, 2) if spec.color == "bgr" else (2, 1, 0)
        levels = np.arange(256, dtype=np.float64)
        # An 8-bit channel takes 256 values: a table does mean, scale and cast in one pass, exactly.
        self._tables = [
            ((levels - mean) * scale).astype(spec.dtype) for mean, scale in zip(spec.mean, spec.scale, strict=True)
        ]
        self._interleaved_table = np.stack(self._tables, axis=-1)[np.newaxis]
        self._batch: NDArray[np.generic] = np.empty((0, *self._item_shape()), spec.dtype)

    def __call__(self, images: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.generic], list[Placement]]:
        """Preprocesses images (H, W, 3) uint8 BGR.

        Returns the batch, (B, 3, h, w) or (B, h, w, 3) in the card's dtype, valid until the next call, and where each
        image lies in it.
        """
        if len(images) > len(self._batch):
            self._batch = np.empty((len(images), *self._item_shape()), self._spec.dtype)
        batch = self._batch[: len(images)]
        placements = []
        for item, image in zip(batch, images, strict=True):
            fitted, placement = fit(image, self._spec.width, self._spec.height, self._spec.resize, self._spec.pad_value)
            self._normalize(fitted, item)
            placements.append(placement)
        return batch, placements

    def _item_shape(self) -> tuple[int, int, int]:
        height, width = self._spec.height, self._spec.width
        return (3, height, width) if self._spec.layout == "NCHW" else (height, width, 3)

    def _normalize(self, image: NDArray[np.uint8], item: NDArray[np.generic]) -> None:
        if self._spec.layout == "NCHW":
            planes = cv2.split(image)
            for channel, source in enumerate(self._order):
                cv2.LUT(planes[source], self._tables[channel], dst=item[channel])
            return
        if self._spec.color == "rgb":
            image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        cv2.LUT(image, self._interleaved_table, dst=item)
