"""What the user tells about a model; None and empty leave it to be guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Overrides:
    """size: width and height in pixels, for a file that leaves them open. labels: a file or a model's name.

    mean, std: per channel, in the order of `color`. tensors: the file's own output names, by the decoder's. options: of
    the decoder.
    """

    decoder: str | None = None
    labels: str | None = None
    size: tuple[int, int] | None = None
    layout: str | None = None
    color: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resize: str | None = None
    pad_value: int | None = None
    name: str | None = None
    version: str | None = None
    license: str | None = None
    source: str | None = None
    confidence: float | None = None
    iou: float | None = None
    max_detections: int | None = None
    tensors: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Guess:
    """One value of the card and why it is that."""

    what: str
    value: str
    reason: str
