"""PyTorch's files: exported programs (.pt2), TorchScript, and pickles. Read as archives; PyTorch is not needed.

Formats: https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export/pt2_archive.html and
torch/csrc/jit/docs/serialization.md.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from robot_ai.model_tool.inspection.errors import CheckpointError, UnknownFileError, UnreadableModelError
from robot_ai.model_tool.inspection.pickles import describe_checkpoint
from robot_ai.model_tool.inspection.readers import labels_in, literal, texts
from robot_ai.model_tool.inspection.types import Inspection, TensorInfo

# torch/_export/serde/schema.py, ScalarType.
SCALAR_TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64", 12: "bool",
    13: "bfloat16",
}  # fmt: skip
MAX_PROGRAM_BYTES = 1 << 28


def inspect_torch(path: Path) -> Inspection:
    """Describes a .pt2, or a TorchScript file; for a pickle, says how to export it.

    Raises CheckpointError, UnreadableModelError or UnknownFileError.
    """
    if not zipfile.is_zipfile(path):
        raise CheckpointError(describe_checkpoint(path))
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if program := next((name for name in names if _is_program(name)), None):
                return _inspect_program(path, archive, program)
            if any(name.partition("/")[2].startswith("code/") for name in names):
                return _inspect_torchscript(path, archive)
    except (zipfile.BadZipFile, OSError) as error:
        raise UnreadableModelError(f"{path} is a damaged archive: {error}. Copy or export it again") from error
    if any(name.endswith("data.pkl") for name in names):
        raise CheckpointError(describe_checkpoint(path))
    raise UnknownFileError(
        f"{path} is an archive, but of no model of PyTorch's: it holds {', '.join(names[:5])}. Export the model with "
        "torch.export.save or torch.onnx.export"
    )


def _is_program(name: str) -> bool:
    """A .pt2's description of its graph; before PyTorch 2.8 it lay elsewhere."""
    return name.endswith(("models/model.json", "serialized_exported_program.json"))


def _inspect_program(path: Path, archive: zipfile.ZipFile, name: str) -> Inspection:
    if archive.getinfo(name).file_size > MAX_PROGRAM_BYTES:
        raise UnreadableModelError(f"{path}: {name} is larger than any graph. Export it again")
    try:
        program = json.loads(archive.read(name))
        module = program["graph_module"]
        values, signature = module["graph"]["tensor_values"], module["signature"]
        inputs = [_tensor(values, argument) for argument in _user(signature["input_specs"], "user_input")]
        given = list(_user(signature["output_specs"], "user_output"))
        outputs = [_tensor(values, own, name) for own, name in zip(given, _names(module, len(given)), strict=True)]
        weights = [spec["parameter"]["arg"]["name"] for spec in signature["input_specs"] if "parameter" in spec]
        parameters = sum(prod(axis or 1 for axis in _shape(values[weight])) for weight in weights)
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UnreadableModelError(
            f"{path}: {name} is not laid out as torch.export.save does it ({error!r}). Export it again with a current "
            "PyTorch"
        ) from error
    return Inspection(path, "PyTorch exported program", "pytorch", tuple(inputs), tuple(outputs), parameters=parameters)


def _user(specs: list[dict[str, Any]], kind: str) -> Iterator[str]:
    """The names of the tensors that the user gives or gets."""
    for spec in specs:
        if kind in spec and "as_tensor" in spec[kind]["arg"]:
            yield spec[kind]["arg"]["as_tensor"]["name"]


def _names(module: dict[str, Any], count: int) -> list[str]:
    """The outputs' names as the backend has them: the keys of a dictionary, else the places, from "0"."""
    structure = json.loads(module["module_call_graph"][0]["signature"]["out_spec"])[1]
    if structure["type"] in ("builtins.dict", "collections.OrderedDict"):
        return [str(key) for key in json.loads(structure["context"])]
    return [str(place) for place in range(count)]


def _tensor(values: dict[str, Any], own: str, name: str | None = None) -> TensorInfo:
    return TensorInfo(name or own, _shape(values[own]), SCALAR_TYPES.get(values[own]["dtype"], "unknown"))


def _shape(value: dict[str, Any]) -> tuple[int | None, ...]:
    return tuple(axis.get("as_int") for axis in value["sizes"])


def _inspect_torchscript(path: Path, archive: zipfile.ZipFile) -> Inspection:
    """TorchScript says nothing of shapes; Ultralytics' exports carry their metadata as an extra file."""
    metadata: dict[str, str] = {}
    for name in archive.namelist():
        if name.partition("/")[2].startswith("extra/config.txt"):
            content = literal(archive.read(name).decode("utf-8", errors="replace"))
            metadata = texts(content) if isinstance(content, dict) else {}
    return Inspection(path, "TorchScript", "pytorch", None, None, metadata=metadata, labels=labels_in(metadata))
