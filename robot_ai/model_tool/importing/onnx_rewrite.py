"""Changes to an ONNX graph that a card needs: weights inside the file, a batch axis, outputs of a fixed length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robot_ai.model_tool.importing.errors import DestinationError
from robot_ai.model_tool.inspection.readers import import_reader

MAX_FILE_BYTES = (1 << 31) - 1  # protocol buffers end here


def write_in_one_file(source: Path, target: Path, size: int) -> None:
    """Copies an ONNX model with the weights that lie beside it into one file. Raises DestinationError."""
    if size > MAX_FILE_BYTES:
        raise DestinationError(
            f"{source} and its weights have {size / 1e9:.1f} GB; an ONNX file holds at most 2. Store the weights "
            "as float16"
        )
    onnx = import_reader("onnx", "import", "ONNX files")
    onnx.save(onnx.load(str(source)), str(target))


def add_batch_axis(source: Path, target: Path, outputs: Sequence[str], length: int) -> None:
    """Writes the model with outputs (1, length, ...) in place of (N, ...), filled up with zeros or cut.

    An image input without a batch axis gets one of 1. This is what torchvision's detectors need, whose exports give as
    many rows as they find objects, best first.
    """
    onnx = import_reader("onnx", "import", "ONNX files")
    model = onnx.load(str(source))
    graph = model.graph
    for name in outputs:
        _pad_output(onnx, graph, name, length)
    constants = {tensor.name for tensor in graph.initializer}
    for value in graph.input:
        if value.name not in constants and len(value.type.tensor_type.shape.dim) == 3:
            _squeeze_input(onnx, graph, value)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def _pad_output(onnx: Any, graph: Any, name: str, length: int) -> None:
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    value = next(output for output in graph.output if output.name == name)
    inner = f"{name}__rows"
    for node in graph.node:
        node.output[:] = [inner if output == name else output for output in node.output]
        node.input[:] = [inner if given == name else given for given in node.input]
    kind = value.type.tensor_type
    rank = len(kind.shape.dim)
    rest = [axis.dim_value for axis in kind.shape.dim][1:]

    def constant(label: str, array: Any) -> str:
        graph.initializer.append(numpy_helper.from_array(array, f"{name}__{label}"))
        return f"{name}__{label}"

    whole = np.int64
    zero, limit = constant("zero", np.zeros(1, whole)), constant("limit", np.full(1, length, whole))
    before = constant("before", np.zeros(rank, whole))
    fill = constant("fill", np.zeros((), helper.tensor_dtype_to_np_dtype(kind.elem_type)))
    steps = [
        ("Slice", [inner, zero, limit, zero], "kept"),
        ("Shape", [f"{name}__kept"], "shape"),
        ("Slice", [f"{name}__shape", zero, constant("one", np.ones(1, whole))], "count"),
        ("Sub", [limit, f"{name}__count"], "missing"),
    ]
    pads = [before, f"{name}__missing"] + ([constant("after", np.zeros(rank - 1, whole))] if rank > 1 else [])
    for operator, inputs, result in steps:
        graph.node.append(helper.make_node(operator, inputs, [f"{name}__{result}"]))
    graph.node.append(helper.make_node("Concat", pads, [f"{name}__pads"], axis=0))
    graph.node.append(helper.make_node("Pad", [f"{name}__kept", f"{name}__pads", fill], [f"{name}__padded"]))
    shape = constant("batched", np.array([1, length, *rest], whole))
    graph.node.append(helper.make_node("Reshape", [f"{name}__padded", shape], [name]))
    value.CopyFrom(helper.make_tensor_value_info(name, kind.elem_type, [1, length, *rest]))


def _squeeze_input(onnx: Any, graph: Any, value: Any) -> None:
    helper = onnx.helper
    name, inner = value.name, f"{value.name}__item"
    for node in graph.node:
        node.input[:] = [inner if given == name else given for given in node.input]
    axis = f"{name}__axis"
    graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(1, np.int64), axis))
    graph.node.insert(0, helper.make_node("Squeeze", [name, axis], [inner]))
    sides = [side.dim_value or side.dim_param for side in value.type.tensor_type.shape.dim]
    value.CopyFrom(helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, [1, *sides]))
