"""TensorFlow Lite files, read by the LiteRT interpreter: opened, never invoked."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from robot_ai.backends.litert import detection_outputs, named_details
from robot_ai.model_tool.inspection.errors import UnreadableModelError
from robot_ai.model_tool.inspection.readers import import_reader, labels_in, literal, texts
from robot_ai.model_tool.inspection.types import Inspection, TensorInfo

# Metadata is text written by people and exporters; more is not read.
MAX_METADATA_BYTES = 1 << 20
# What the operator that ends TFLite's detectors gives, in its order.
DETECTED = ("boxes", "classes", "scores", "count")
RUNTIMES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")


def inspect_tflite(path: Path) -> Inspection:
    """Describes a .tflite file. Raises MissingReaderError or UnreadableModelError."""
    try:
        has_runtime = next((name for name in RUNTIMES if importlib.util.find_spec(name)), RUNTIMES[0])
    except ModuleNotFoundError:  # the package that would hold it
        has_runtime = RUNTIMES[0]
    runtime = import_reader(has_runtime, "litert", ".tflite files")
    try:
        interpreter = runtime.Interpreter(model_path=str(path))
        inputs, outputs = named_details(interpreter)
    except (ValueError, RuntimeError, OSError) as error:
        raise UnreadableModelError(f"{path} is no .tflite file that can be read: {error}. Export it again") from error
    metadata, labels = _appended(path)
    tensors = interpreter.get_tensor_details()
    weights = [detail for detail in tensors if len(detail["shape"]) > 1]
    bytes_wide = sum(np.dtype(detail["dtype"]) in (np.int8, np.uint8) for detail in weights)
    return Inspection(
        path=path,
        format="TensorFlow Lite",
        backend="litert",
        inputs=tuple(map(_tensor, inputs.items())),
        outputs=tuple(map(_tensor, outputs.items())),
        metadata=metadata,
        # Where most tensors are bytes, the operations compute in integers, whatever the ends are.
        precision="int8" if bytes_wide > len(weights) / 2 else "float32",
        labels=labels or labels_in(metadata),
        roles=_roles(interpreter, outputs),
    )


def _roles(interpreter: Any, outputs: Mapping[str, Any]) -> dict[str, str]:
    """The file's outputs by what the detection operator gives them; their names and order differ by converter."""
    names = {detail["index"]: name for name, detail in outputs.items()}
    return {
        role: names[index]
        for role, index in zip(DETECTED, detection_outputs(interpreter), strict=False)
        if index in names
    }


def _tensor(named: tuple[str, Any]) -> TensorInfo:
    name, detail = named
    axes = detail.get("shape_signature", detail["shape"])
    dtype = np.dtype(detail["dtype"])
    quantized = dtype.kind in "iu" and len(detail["quantization_parameters"]["scales"]) > 0
    return TensorInfo(name, tuple(int(axis) if axis > 0 else None for axis in axes), dtype.name, quantized)


def _appended(path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Metadata and labels from the zip archive that TFLite's metadata writers and Ultralytics append to the file."""
    metadata: dict[str, str] = {}
    labels: tuple[str, ...] = ()
    if not zipfile.is_zipfile(path):
        return metadata, labels
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.file_size > MAX_METADATA_BYTES:
                    continue
                text = archive.read(entry).decode("utf-8", errors="replace")
                content = literal(text)
                if isinstance(content, dict):
                    metadata |= texts(content)
                elif entry.filename.endswith(".txt") and "label" in entry.filename.lower():
                    labels = tuple(line.strip() for line in text.splitlines() if line.strip())
    except (zipfile.BadZipFile, OSError, NotImplementedError):  # the model itself is whole: do without
        return metadata, labels
    return metadata, labels
