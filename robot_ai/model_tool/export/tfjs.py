"""TensorFlow.js graph models, for a robot's dashboard in a browser.

The official converter (PyPI's tensorflowjs 4.22) imports TensorFlow Decision Forests, which exist for TensorFlow 2.19
at most and cannot live beside ours. The format is a documented one (tfjs-core/src/io/types.ts, `ModelJSON` and
`WeightsManifestEntry`): the graph as protobuf's JSON, its constants in binary shards. TensorFlow's own optimizer,
Grappler, does the work that matters, as it does for the official converter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.model_tool.export.errors import ConverterError
from robot_ai.model_tool.export.onnx_formats import is_lossless
from robot_ai.model_tool.export.tensorflow_formats import TensorFlowModel, frozen

SHARD_BYTES = 4 * 1024 * 1024  # what browsers cache of one response
# The passes that the official converter asks Grappler for.
_OPTIMIZERS = ("remap", "constfold", "arithmetic", "dependency")
# The types that TensorFlow.js has, by those of constants; it reads the graph's wider types as these too.
_DTYPES = {
    "float32": "float32", "float64": "float32", "float16": "float32",
    "int32": "int32", "int64": "int32", "uint8": "int32", "int8": "int32",
    "bool": "bool",
}  # fmt: skip


def to_tfjs(model: TensorFlowModel, path: Path) -> None:
    """Writes model.json and the shards of the weights into the directory `path`.

    Weights that are float16 numbers are stored so; TensorFlow.js turns them back when it loads them.
    """
    import tensorflow as tf
    from google.protobuf.json_format import MessageToDict

    function = frozen(model, None)
    names = sorted(model.output_names)
    fetched = dict(zip(names, function.outputs, strict=True))
    image = next(tensor for tensor in function.inputs if tensor.dtype != tf.resource)
    graph = _optimized(function, [tensor.name.partition(":")[0] for tensor in function.outputs])
    entries, data = _take_constants(graph)
    path.mkdir(parents=True)
    shards = [data[start : start + SHARD_BYTES] for start in range(0, len(data), SHARD_BYTES)]
    files = [f"group1-shard{number}of{len(shards)}.bin" for number in range(1, len(shards) + 1)]
    for name, shard in zip(files, shards, strict=True):
        (path / name).write_bytes(shard)
    content = {
        "format": "graph-model",
        "generatedBy": tf.__version__,
        "convertedBy": "robot_ai",
        "signature": {
            "inputs": {model.input_name: _tensor_info(image)},
            "outputs": {name: _tensor_info(tensor) for name, tensor in fetched.items()},
        },
        "modelTopology": MessageToDict(graph),
        "weightsManifest": [{"paths": files, "weights": entries}],
    }
    (path / "model.json").write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _optimized(function: Any, fetched: list[str]) -> Any:
    """The graph after Grappler: constants folded, biases and activations fused into convolutions."""
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
    from tensorflow.python.grappler import tf_optimizer
    from tensorflow.python.training.saver import export_meta_graph

    meta = export_meta_graph(graph_def=function.graph.as_graph_def(), graph=function.graph)
    outputs = meta_graph_pb2.CollectionDef()
    outputs.node_list.value.extend(fetched)
    meta.collection_def["train_op"].CopyFrom(outputs)
    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.optimizers.extend(_OPTIMIZERS)
    config.graph_options.rewrite_options.meta_optimizer_iterations = 2  # ONE is 1, TWO is 2
    graph = tf_optimizer.OptimizeGraph(config, meta)
    for node in graph.node:
        # Constants stand for all; what else Grappler notes in a node is for its own later passes.
        for key in [key for key in node.attr if key.startswith("_")]:
            del node.attr[key]
    return graph


def _take_constants(graph: Any) -> tuple[list[dict[str, Any]], bytes]:
    """Moves every constant's content out of the graph; the manifest's entries and the bytes, in the graph's order."""
    import tensorflow as tf

    entries, parts = [], []
    for node in graph.node:
        if node.op != "Const":
            continue
        tensor = node.attr["value"].tensor
        array = tf.make_ndarray(tensor)
        if array.dtype.name not in _DTYPES:
            raise ConverterError(f"TensorFlow.js holds no constants of type {array.dtype}; '{node.name}' is one")
        limits = np.iinfo(np.int32)
        if array.dtype.name == "int64":
            array = np.clip(array, limits.min, limits.max)  # ends of slices, where the largest means all
        array = array.astype(_DTYPES[array.dtype.name])
        entry: dict[str, Any] = {"name": node.name, "shape": list(array.shape), "dtype": array.dtype.name}
        if array.size > 1 and is_lossless(array):
            entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            array = array.astype(np.float16)
        entries.append(entry)
        parts.append(_bytes(array))
        shape = tensor.tensor_shape
        kept = type(tensor)(dtype=tensor.dtype, tensor_shape=shape)
        tensor.CopyFrom(kept)
    return entries, b"".join(parts)


def _bytes(array: NDArray[Any]) -> bytes:
    return array.astype(array.dtype.newbyteorder("<")).tobytes()


def _tensor_info(tensor: Any) -> dict[str, Any]:
    """Name, type and shape as the JSON of protobuf's TensorInfo."""
    axes = [{"size": str(-1 if axis is None else axis)} for axis in tensor.shape]
    return {
        "name": tensor.name,
        "dtype": "DT_FLOAT" if tensor.dtype.name == "float32" else f"DT_{tensor.dtype.name.upper()}",
        "tensorShape": {"dim": axes},
    }
