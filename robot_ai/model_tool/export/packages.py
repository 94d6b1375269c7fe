"""The Python packages that a format is made with: looked for before anything is made, not found missing in between."""

from __future__ import annotations

from robot_ai.backends.support import is_importable
from robot_ai.errors import pip_install
from robot_ai.model_tool.export.errors import ConverterMissingError
from robot_ai.model_tool.export.formats import FORMATS, Format

INSTALL = pip_install("convert")
# By what the source artifact is (see workshop.FAMILIES).
_LOAD = {
    "torch": ("torch",),
    "onnx": ("onnx",),
    "tensorflow": ("tensorflow",),
    "tflite": ("ai_edge_litert", "tensorflow"),
}
_TO_ONNX = {
    "torch": ("onnx", "onnxscript"),
    "onnx": (),
    "tensorflow": ("onnx", "tf2onnx"),
    "tflite": ("onnx", "tf2onnx"),
}
# From ONNX to the other representations, which takes shapes that are numbers: ONNX Runtime computes them.
_FROM_ONNX = {"torch": ("onnxruntime", "torch", "onnx2torch"), "tensorflow": ("onnxruntime", "tensorflow")}
# The interpreter tells the operations of the int8 file; TensorFlow Lite Micro itself has an environment of its own.
_MICRO = ("ai_edge_litert",)


def needed(item: Format, family: str, has_int8: bool = False) -> tuple[str, ...]:
    """The packages, by the names under which they are imported, that make a format from an artifact of a family.

    `has_int8` says that there is a quantized file already, from which tflite-micro is made without its source.
    """
    if item.name == "tflite-micro":
        if has_int8:
            return _MICRO
        return tuple(dict.fromkeys([*needed(FORMATS["tflite-int8"], family), *_MICRO]))
    if item.family == family:
        return _LOAD[family]
    onward = _FROM_ONNX.get(item.family, ())
    return tuple(dict.fromkeys([*_LOAD[family], *_TO_ONNX[family], *onward]))


def check_installed(item: Format, key: str, family: str, has_int8: bool = False) -> None:
    """Raises ConverterMissingError, which names all that is missing, if a format cannot be made from artifact `key`."""
    missing = [name for name in needed(item, family, has_int8) if not is_importable(name)]
    if missing:
        listed = ", ".join(f"'{name}'" for name in missing)
        raise ConverterMissingError(
            f"{item.name} from '{key}' is made with the Python package{'s' * (len(missing) > 1)} {listed}, "
            f"which {'are' if len(missing) > 1 else 'is'} not installed. Install with: {INSTALL}"
        )
