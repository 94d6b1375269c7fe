"""TensorFlow Lite files, read by the LiteRT interpreter: opened, never invoked."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from robot_ai.backends.litert import detection_outputs
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
        inputs, outputs = _details(interpreter)
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
        inputs=inputs,
        outputs=outputs,
        metadata=metadata,
        # Where most tensors are bytes, the operations compute in integers, whatever the ends are.
        precision="int8" if bytes_wide > len(weights) / 2 else "float32",
        labels=labels or labels_in(metadata),
        roles=_roles(interpreter),
    )


def _details(interpreter: Any) -> tuple[tuple[TensorInfo, ...], tuple[TensorInfo, ...]]:
    """Inputs and outputs under the names of the file's only signature, else of its graph, as the backend has them."""
    inputs, outputs = _named(interpreter)
    return tuple(map(_tensor, inputs.items())), tuple(map(_tensor, outputs.items()))


def _named(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    signatures = list(interpreter.get_signature_list())
    if len(signatures) == 1:
        runner = interpreter.get_signature_runner(signatures[0])
        return dict(runner.get_input_details()), dict(runner.get_output_details())
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return {detail["name"]: detail for detail in inputs}, {detail["name"]: detail for detail in outputs}


def _roles(interpreter: Any) -> dict[str, str]:
    """The file's outputs by what the detection operator gives them; their names and order differ by converter."""
    names = {detail["index"]: name for name, detail in _named(interpreter)[1].items()}
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
