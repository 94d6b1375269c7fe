"""ONNX's side of export: from a card, from LiteRT (tf2onnx), and weights stored as float16."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.models.card import ModelCard

OPSET = 17  # onnx2torch knows no later one
_SMALLEST = 256  # numbers in a tensor: less is not worth a cast


@dataclass(frozen=True)
class OnnxModel:
    """An ONNX file, the layout of its image input, and its own tensor names by the card's where they differ."""

    path: Path
    layout: str
    tensors: Mapping[str, str] = field(default_factory=dict)


def from_artifact(card: ModelCard, backend: str, path: Path) -> OnnxModel:
    """A copy of the ONNX file of a card's artifact, in float32 throughout."""
    import onnx

    artifact = card.artifact_for(backend)
    assert artifact.path is not None
    model = onnx.load(str(artifact.path))
    _fold_float16(model)
    onnx.save(model, str(path))
    return OnnxModel(path, card.input_for(backend).layout, artifact.tensors)


def from_tflite(card: ModelCard, backend: str, path: Path) -> OnnxModel:
    """Writes what tf2onnx makes of a .tflite file, which names tensors as the file's graph does."""
    import tf2onnx
    from ai_edge_litert.interpreter import Interpreter

    artifact = card.artifact_for(backend)
    tf2onnx.convert.from_tflite(str(artifact.path), opset=OPSET, output_path=str(path))
    interpreter = Interpreter(model_path=str(artifact.path))
    names: dict[str, str] = {}
    signatures = list(interpreter.get_signature_list())
    if len(signatures) == 1:
        runner = interpreter.get_signature_runner(signatures[0])
        details = {**runner.get_input_details(), **runner.get_output_details()}
        wanted = [card.inputs[0].name, *(output.name for output in card.outputs)]
        names = {
            name: details[artifact.own_name(name)]["name"] for name in wanted if artifact.own_name(name) in details
        }
    return OnnxModel(path, card.input_for(backend).layout, names or dict(artifact.tensors))


def own_names(path: Path, image: str, outputs: tuple[str, ...]) -> dict[str, str]:
    """The file's names where they differ: tf2onnx may add `:0`."""
    import onnx

    graph = onnx.load(str(path), load_external_data=False).graph
    there = [value.name for value in (*graph.input, *graph.output)]
    return {name: f"{name}:0" for name in (image, *outputs) if name not in there and f"{name}:0" in there}


def name_batch_axis(path: Path) -> None:
    """Calls a free first axis of inputs and outputs `batch`: exporters make up names such as s40."""
    import onnx

    model = onnx.load(str(path))
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        if axes and not axes[0].dim_value:
            axes[0].dim_param = "batch"
    onnx.save(model, str(path))


def is_lossless(array: NDArray[Any]) -> bool:
    """Whether every number of a float32 array is a float16 number too."""
    if array.dtype != np.float32:
        return False
    with np.errstate(over="ignore"):
        return bool((array.astype(np.float16).astype(np.float32) == array).all())


def store_as_float16(path: Path) -> bool:
    """Stores weights as float16 with a cast before their use, if that loses nothing for any of them.

    Networks are often published in float16; their files are half as large then, and compute in float32 as before:
    runtimes fold the casts when they load. Returns whether the file was changed.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(str(path))
    graph = model.graph
    large = [
        (index, numpy_helper.to_array(tensor))
        for index, tensor in enumerate(graph.initializer)
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims, initial=1) >= _SMALLEST
    ]
    if not large or not all(is_lossless(array) for _, array in large):
        return False
    casts = []
    for index, array in large:
        name = graph.initializer[index].name
        graph.initializer[index].CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}_float16"))
        casts.append(helper.make_node("Cast", [f"{name}_float16"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    cast = {array_name.output[0] for array_name in casts}
    kept = [value for value in graph.input if value.name not in cast]  # old exporters list weights as inputs too
    if len(kept) != len(graph.input):
        del graph.input[:]
        graph.input.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return True


def fixed_copy(model: OnnxModel, path: Path) -> OnnxModel:
    """Writes the model for a batch of one, with everything computed that then is constant, by ONNX Runtime.

    Converters from ONNX know shapes that are numbers, and few of the operations that exporters compute shapes with.
    """
    import onnx
    import onnxruntime
    from onnx import numpy_helper
    from onnxruntime.tools.onnx_model_utils import make_dim_param_fixed

    content = onnx.load(str(model.path))
    free = {v.type.tensor_type.shape.dim[0].dim_param for v in content.graph.input if v.type.tensor_type.shape.dim}
    for name in free - {""}:
        make_dim_param_fixed(content.graph, name, 1)
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    settings.optimized_model_filepath = str(path)
    settings.log_severity_level = 4
    onnxruntime.InferenceSession(content.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    content = onnx.load(str(path))
    constants = {tensor.name: tensor for tensor in content.graph.initializer}
    for node in content.graph.node:
        # A shape without a zero means the same with and without `allowzero`, which few converters know.
        if (
            node.op_type == "Reshape"
            and node.input[1] in constants
            and numpy_helper.to_array(constants[node.input[1]]).all()
        ):
            kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)
    onnx.save(content, str(path))
    return OnnxModel(path, model.layout, model.tensors)


def _fold_float16(model: Any) -> None:
    """Undoes `store_as_float16`: converters look for weights among the constants, not behind a cast."""
    from onnx import TensorProto, numpy_helper

    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT16}
    kept = []
    for node in graph.node:
        if node.op_type != "Cast" or node.input[0] not in stored or node.attribute[0].i != TensorProto.FLOAT:
            kept.append(node)
            continue
        array = numpy_helper.to_array(stored[node.input[0]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
    used = {name for node in kept for name in node.input}
    weights = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(weights)
