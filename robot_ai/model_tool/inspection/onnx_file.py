"""ONNX files, read with the official `onnx` package: the graph's description, never its kernels."""

from __future__ import annotations

from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

from robot_ai.model_tool.inspection.errors import OutsidePathError, UnreadableModelError
from robot_ai.model_tool.inspection.readers import import_reader, labels_in
from robot_ai.model_tool.inspection.types import Inspection, TensorInfo

QUANTIZED_OPERATORS = {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger"}


def inspect_onnx(path: Path) -> Inspection:
    """Describes an ONNX file. Raises MissingReaderError, UnreadableModelError or OutsidePathError."""
    onnx = import_reader("onnx", "import", "ONNX files")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise UnreadableModelError(f"{path} is no ONNX file that can be read: {error}. Export it again") from error
    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if model.producer_name:
        metadata.setdefault("producer", f"{model.producer_name} {model.producer_version}".strip())
    return Inspection(
        path=path,
        format="ONNX",
        backend="onnx",
        inputs=tuple(_tensor(onnx, value) for value in graph.input if value.name not in constants),
        outputs=tuple(_tensor(onnx, value) for value in graph.output),
        metadata=metadata | _last_operation(graph),
        parameters=sum(prod(tensor.dims) for tensor in graph.initializer if tensor.data_type in _weights(onnx)),
        precision=_precision(onnx, graph),
        labels=labels_in(metadata),
        companions=_external_files(onnx, path, graph),
    )


def infer_outputs(path: Path, image: tuple[int, ...]) -> dict[str, tuple[int | None, ...]]:
    """The outputs' shapes for an image input of that shape, as far as the graph tells them; nothing is run.

    What cannot be told is None; a shape of which nothing can be told is empty. Raises MissingReaderError.
    """
    onnx = import_reader("onnx", "import", "ONNX files")
    model = onnx.load(str(path), load_external_data=False)
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        axes = value.type.tensor_type.shape.dim
        if value.name not in constants and len(axes) == len(image):
            for axis, length in zip(axes, image, strict=True):
                axis.dim_value = length
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError:  # shapes that contradict one another: running it shows what is right
        return {value.name: () for value in model.graph.output}
    return {value.name: _axes(value) for value in inferred.graph.output}


def _axes(value: Any) -> tuple[int | None, ...]:
    axes = value.type.tensor_type.shape.dim
    return tuple(axis.dim_value if axis.HasField("dim_value") and axis.dim_value > 0 else None for axis in axes)


def _tensor(onnx: Any, value: Any) -> TensorInfo:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name if tensor.elem_type else "unknown"
    return TensorInfo(value.name, _axes(value), dtype)


def _last_operation(graph: Any) -> dict[str, str]:
    """The operator that makes the first output: a softmax there tells probabilities from logits."""
    first = graph.output[0].name if graph.output else ""
    makers = [node.op_type for node in graph.node if first in node.output]
    return {"last_operation": makers[0]} if makers else {}


def _weights(onnx: Any) -> set[int]:
    """The types of which weights are made; shapes and indices are int64."""
    kinds = onnx.TensorProto
    return {kinds.FLOAT, kinds.FLOAT16, kinds.BFLOAT16, kinds.DOUBLE, kinds.INT8, kinds.UINT8}


def _precision(onnx: Any, graph: Any) -> str:
    if any(node.op_type in QUANTIZED_OPERATORS for node in graph.node):
        return "int8"
    halves = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}
    # Weights that are only stored in half precision go through a Cast before they are used.
    used = {name for node in graph.node if node.op_type != "Cast" for name in node.input}
    return "float16" if halves & used else "float32"


def _external_files(onnx: Any, path: Path, graph: Any) -> tuple[Path, ...]:
    """The files that hold weights too large for the file itself. Raises OutsidePathError or UnreadableModelError."""
    names: dict[str, None] = {}
    for tensor in graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            names.update({entry.value: None for entry in tensor.external_data if entry.key == "location"})
    for name in names:
        place = PurePosixPath(name)
        inside = not place.is_absolute() and ".." not in place.parts and "\\" not in name
        if not inside or (path.parent / place).is_symlink():
            raise OutsidePathError(
                f"{path} keeps weights in {name}, which does not lie in its folder; expected a file beside it. "
                "Export it again into one folder"
            )
        if not (path.parent / place).is_file():
            raise UnreadableModelError(
                f"{path} keeps its weights in {path.parent / place}, which is not there. Copy both files together"
            )
    return tuple(path.parent / name for name in names)
