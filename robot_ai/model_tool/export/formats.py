"""The formats that export writes: their names, artifact keys, files, layouts and who makes them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from robot_ai.model_tool.export.errors import UnknownFormatError


@dataclass(frozen=True)
class Format:
    """One target format.

    name: as `--to` takes it. key: the artifact's key in the card. suffix: of the file or directory, after the model's
    name. layout: of its image input. precision: of its computation. family: what has to be in memory to write it:
    `torch`, `onnx`, `tensorflow` or `tflite-int8` (an exported file of that format). also: further keys under which
    other backends run the same file.
    """

    name: str
    key: str
    suffix: str
    layout: str
    family: str
    precision: str = "float32"
    also: tuple[str, ...] = ()


FORMATS = {
    item.name: item
    for item in (
        Format("pt2", "pytorch/pt2", ".pt2", "NCHW", "torch"),
        Format("torchscript", "pytorch/torchscript", ".torchscript.pt", "NCHW", "torch"),
        Format("onnx", "onnx", ".onnx", "NCHW", "onnx", also=("openvino",)),
        Format("saved_model", "tensorflow/saved_model", "_saved_model", "NHWC", "tensorflow"),
        Format("keras", "tensorflow/keras", ".keras", "NHWC", "tensorflow"),
        Format("tflite", "litert", ".tflite", "NHWC", "tensorflow"),
        Format("tflite-int8", "litert/int8", "_int8.tflite", "NHWC", "tensorflow", "int8"),
        Format("tfjs", "tfjs", "_tfjs", "NHWC", "tensorflow"),
        Format("tflite-micro", "tflite_micro", "_tflite_micro", "NHWC", "tflite-int8", "int8"),
    )
}


def parse_formats(text: str) -> list[Format]:
    """Reads `onnx,tflite`, in the order in which they are made; `all` is every format. Raises UnknownFormatError."""
    names = {name.strip() for name in text.split(",") if name.strip()}
    if names == {"all"}:
        return list(FORMATS.values())
    for name in sorted(names):
        if name not in FORMATS:
            near = difflib.get_close_matches(name, FORMATS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UnknownFormatError(f"no format is named '{name}'; expected some of {_listed(FORMATS)}, or all{hint}")
    if not names:
        raise UnknownFormatError(f"--to names no format; expected some of {_listed(FORMATS)}, or all")
    return [item for name, item in FORMATS.items() if name in names]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
