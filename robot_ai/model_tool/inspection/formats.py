"""From a path to what is in it."""

from __future__ import annotations

from pathlib import Path

from robot_ai.model_tool.inspection.errors import UnknownFileError, UnreadableModelError
from robot_ai.model_tool.inspection.onnx_file import inspect_onnx
from robot_ai.model_tool.inspection.tensorflow_file import SAVED_MODEL_FILE, inspect_keras, inspect_saved_model
from robot_ai.model_tool.inspection.tflite_file import inspect_tflite
from robot_ai.model_tool.inspection.torch_file import inspect_torch
from robot_ai.model_tool.inspection.types import Inspection

READERS = {
    ".onnx": inspect_onnx,
    ".tflite": inspect_tflite,
    ".keras": inspect_keras,
    ".h5": inspect_keras,
    ".pt2": inspect_torch,
    ".pt": inspect_torch,
    ".pth": inspect_torch,
    ".ckpt": inspect_torch,
    ".torchscript": inspect_torch,
}


def inspect_model(path: Path, signature: str | None = None) -> Inspection:
    """Describes a model file or a SavedModel directory; nothing in it is run. Raises InspectionError."""
    try:
        if path.is_dir():
            if not (path / SAVED_MODEL_FILE).is_file():
                raise UnknownFileError(
                    f"{path} is a folder without {SAVED_MODEL_FILE}; expected a SavedModel, or one of "
                    f"{', '.join(READERS)}. Name the model's file"
                )
            return inspect_saved_model(path, signature)
        if not path.is_file():
            raise UnknownFileError(f"{path} does not exist; expected a model file or a SavedModel directory")
        if path.suffix.lower() not in READERS:
            raise UnknownFileError(
                f"{path} ends in '{path.suffix}'; expected a SavedModel directory, or one of {', '.join(READERS)}. "
                "Rename the file after its format, or export it to one of these"
            )
        return READERS[path.suffix.lower()](path)
    except OSError as error:
        raise UnreadableModelError(f"{path} cannot be read: {error.strerror}. Check its permissions") from error
