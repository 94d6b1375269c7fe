"""What a network takes and gives: the parts of a model card that other rooms pass around."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from robot_ai.perception.resize import ResizeRule

Layout = Literal["NCHW", "NHWC"]
ImageDType = Literal["float32", "uint8"]
ColorOrder = Literal["bgr", "rgb"]


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and dtype of one tensor.

    None in `shape` is an axis whose length may differ per call (the batch); an empty one says nothing of the shape.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str

    def __str__(self) -> str:
        axes = ", ".join("batch" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name} ({axes}) {self.dtype}"


@dataclass(frozen=True)
class ImageInput:
    """An input tensor that holds a batch of images.

    A pixel enters the network as (value - mean) / std, with value in 0-255; `mean` and `std` are given in the order of
    `color`. `resize` says how an image of another size is fitted: `stretch` ignores the aspect ratio, `letterbox` keeps
    it and fills the border with `pad_value` (before normalization).
    """

    name: str
    height: int
    width: int
    layout: Layout
    dtype: ImageDType
    color: ColorOrder
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: ResizeRule
    pad_value: int

    @property
    def scale(self) -> tuple[float, float, float]:
        """The factors that are multiplied after the mean is subtracted: 1 / std."""
        first, second, third = self.std
        return 1 / first, 1 / second, 1 / third

    @property
    def tensor(self) -> TensorSpec:
        """The tensor this input fills, with a free batch axis."""
        spatial: tuple[int, ...] = (self.height, self.width)
        shape = (3, *spatial) if self.layout == "NCHW" else (*spatial, 3)
        return TensorSpec(self.name, (None, *shape), self.dtype)


@dataclass(frozen=True)
class PillarInput:
    """An input tensor that holds clouds seen from above, as `robot_ai.lidar.pillars` makes them.

    A square of `side` by `side` pillars of `cell` meters with the lidar in the middle; `channels` describe each pillar.
    """

    name: str
    side: int
    cell: float
    channels: int
    layout: Layout
    dtype: Literal["float32"] = "float32"

    @property
    def tensor(self) -> TensorSpec:
        """The tensor this input fills, with a free batch axis."""
        spatial = (self.side, self.side)
        shape = (self.channels, *spatial) if self.layout == "NCHW" else (*spatial, self.channels)
        return TensorSpec(self.name, (None, *shape), self.dtype)


ModelInput = ImageInput | PillarInput


@dataclass(frozen=True)
class Thresholds:
    """The model's own settings for turning candidates into detections.

    confidence: score, 0-1, below which a candidate is dropped. iou: overlap, 0-1, above which the weaker of two boxes
    of one class is dropped. max_detections: the most detections given per image.
    """

    confidence: float
    iou: float
    max_detections: int
