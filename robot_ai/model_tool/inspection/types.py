"""What is found in a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TensorInfo:
    """An input or output as the file describes it; None in `shape` is an axis of any length.

    quantized: an integer tensor with a scale and a zero point, which stands for real numbers.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    quantized: bool = False

    def __str__(self) -> str:
        axes = ", ".join("any" if axis is None else str(axis) for axis in self.shape)
        return f"{self.name} ({axes}) {self.dtype}{' quantized' if self.quantized else ''}"


@dataclass(frozen=True)
class Inspection:
    """A model file or directory.

    format: for people, such as `ONNX`. backend: the one that runs it. inputs, outputs: None where the format does not
    say (TorchScript). metadata: texts that the exporter left in the file. parameters: how many numbers were trained,
    where that is cheap to count. precision: of the stored computation. labels: class names found in the file. options:
    for the backend, such as the signature that was looked at. companions: other files that belong to this one. roles:
    the outputs by the decoder's names, where the graph itself tells what they are.
    """

    path: Path
    format: str
    backend: str
    inputs: tuple[TensorInfo, ...] | None
    outputs: tuple[TensorInfo, ...] | None
    metadata: Mapping[str, str] = field(default_factory=dict)
    parameters: int | None = None
    precision: str = "float32"
    labels: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    companions: tuple[Path, ...] = ()
    roles: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes, with all files of a directory and the companions."""
        files = [self.path, *self.companions]
        if self.path.is_dir():
            files = [file for file in self.path.rglob("*") if file.is_file()]
        return sum(file.stat().st_size for file in files)

    @property
    def lines(self) -> list[str]:
        """The file, its inputs and its outputs, a line each."""
        count = "" if self.parameters is None else f", {self.parameters:,} parameters"
        lines = [f"{self.path}: {self.format}, {self.size / 1e6:.1f} MB{count}, {self.precision}"]
        for kind, tensors in (("input ", self.inputs), ("output", self.outputs)):
            if tensors is None:
                lines.append(f"  {kind}  not told by this format")
            else:
                lines += [f"  {kind}  {tensor}" for tensor in tensors]
        return lines
