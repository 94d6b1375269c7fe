"""What a decoder's matcher is shown, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from robot_ai.model_tool.inspection.types import TensorInfo


def is_rtdetr(metadata: Mapping[str, str]) -> bool:
    """Whether a file is Ultralytics' export of an RT-DETR, which boxes and feeds otherwise than its YOLO models."""
    # Only newer versions name the head.
    named = metadata.get("head") == "RTDETRDecoder" or "rtdetr" in metadata.get("description", "").lower()
    return named and metadata.get("author") == "Ultralytics"


@dataclass(frozen=True)
class Network:
    """The outputs of a model, and what else helps to tell its decoder.

    classes: the number of labels, where it is known. named: the model's own output names, by the decoder's, where the
    user gave them. told: whether the user chose the decoder, so that its shape alone decides. options: the decoder's
    options that the user gave.
    """

    outputs: tuple[TensorInfo, ...]
    height: int
    width: int
    classes: int | None
    format: str
    metadata: Mapping[str, str]
    named: Mapping[str, str] = field(default_factory=dict)
    told: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def cells(self, strides: Sequence[int]) -> int:
        """The cells of a head with these strides."""
        return sum((self.height // stride) * (self.width // stride) for stride in strides)

    def pick(self, role: str, fits: Callable[[TensorInfo], bool], hints: Sequence[str]) -> TensorInfo | None:
        """The output for a decoder's tensor `role`.

        It is the one that the user named, else the only one that fits and whose name holds one of the hints, the more
        telling first, else the only one that fits.
        """
        if role in self.named:
            return next((out for out in self.outputs if out.name == self.named[role] and fits(out)), None)
        taken = set(self.named.values())
        fitting = [out for out in self.outputs if out.name not in taken and fits(out)]
        for hint in hints:
            named = [out for out in fitting if out.name.lower() == hint]
            telling = named or [out for out in fitting if hint in out.name.lower()]
            if len(telling) == 1:
                return telling[0]
        return fitting[0] if len(fitting) == 1 else None


@dataclass(frozen=True)
class Match:
    """A decoder that reads the network.

    tensors: the model's outputs by the decoder's names; axes that the file leaves open are filled in. classes: how many
    the outputs have room for; None when they do not say. reason: why this decoder. unbatched: the outputs lack the
    batch axis, and their length varies. is_set: the model gives each object one box, whatever the decoder.
    """

    decoder: str
    tensors: Mapping[str, TensorInfo]
    reason: str
    classes: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    unbatched: bool = False
    is_set: bool = False


def with_shape(tensor: TensorInfo, *axes: int) -> TensorInfo:
    """The tensor with its axes after the batch filled in."""
    return replace(tensor, shape=(tensor.shape[0], *axes))
