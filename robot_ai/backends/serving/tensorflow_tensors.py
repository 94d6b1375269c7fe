"""TensorFlow Serving's messages, and tensors in them and in the JSON of its REST interface.

Field numbers and enumerations: tensorflow_serving/apis/{predict,model,get_model_metadata,get_model_status}.proto,
tensorflow/core/framework/{tensor,tensor_shape,types}.proto, tensorflow/core/protobuf/meta_graph.proto.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.serving.errors import AnswerError
from robot_ai.backends.serving.protocol import DescribedTensor

PACKAGE = "tensorflow.serving"
SCHEMA: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "Int64Value": {"value": (1, "int64")},
    "ModelSpec": {
        "name": (1, "string"),
        "version": (2, "Int64Value"),
        "signature_name": (3, "string"),
        "version_label": (4, "string"),
    },
    "Dim": {"size": (1, "int64")},
    "TensorShapeProto": {"dim": (2, "repeated Dim"), "unknown_rank": (3, "bool")},
    # Packed floats are on the wire what bytes are; read as bytes they become an array without a loop over each.
    "TensorProto": {
        "dtype": (1, "int32"),
        "tensor_shape": (2, "TensorShapeProto"),
        "tensor_content": (4, "bytes"),
        "float_val": (5, "repeated bytes"),
        "double_val": (6, "repeated bytes"),
        "int_val": (7, "repeated int32"),
        "int64_val": (10, "repeated int64"),
        "half_val": (13, "repeated int32"),
    },
    "PredictRequest": {
        "model_spec": (1, "ModelSpec"),
        "inputs": (2, "map<string, TensorProto>"),
        "output_filter": (3, "repeated string"),
    },
    "PredictResponse": {"outputs": (1, "map<string, TensorProto>"), "model_spec": (2, "ModelSpec")},
    "TensorInfo": {"dtype": (2, "int32"), "tensor_shape": (3, "TensorShapeProto")},
    "SignatureDef": {"inputs": (1, "map<string, TensorInfo>"), "outputs": (2, "map<string, TensorInfo>")},
    "SignatureDefMap": {"signature_def": (1, "map<string, SignatureDef>")},
    "Any": {"type_url": (1, "string"), "value": (2, "bytes")},
    "GetModelMetadataRequest": {"model_spec": (1, "ModelSpec"), "metadata_field": (2, "repeated string")},
    "GetModelMetadataResponse": {"metadata": (2, "map<string, Any>")},
    "GetModelStatusRequest": {"model_spec": (1, "ModelSpec")},
    "ModelVersionStatus": {"version": (1, "int64"), "state": (2, "int32")},
    "GetModelStatusResponse": {"model_version_status": (1, "repeated ModelVersionStatus")},
}
# numpy's name of a dtype, by the number and the name of TensorFlow's enumeration; others are shown by their name.
DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 9: "int64", 10: "bool", 19: "float16",
}  # fmt: skip
DTYPE_NAMES = {
    "DT_FLOAT": "float32", "DT_DOUBLE": "float64", "DT_INT32": "int32", "DT_UINT8": "uint8", "DT_INT16": "int16",
    "DT_INT8": "int8", "DT_INT64": "int64", "DT_BOOL": "bool", "DT_HALF": "float16",
}  # fmt: skip
STATES = {10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}
_NUMBERS = {name: number for number, name in DTYPES.items()}


def write_tensor(message: Any, array: NDArray[Any]) -> None:
    """Fills a TensorProto with an array's bytes."""
    message.dtype = _NUMBERS[array.dtype.name]
    for size in array.shape:
        message.tensor_shape.dim.add(size=size)
    message.tensor_content = array.tobytes()


def read_tensor(message: Any, where: str) -> NDArray[Any]:
    """The array of a TensorProto, in whichever of its fields the server wrote it. Raises AnswerError.

    Fewer values than the shape has mean that the last one is repeated (tensor.proto).
    """
    dtype = DTYPES.get(message.dtype)
    if dtype is None or dtype == "bool":
        raise AnswerError(f"{where} has TensorFlow's dtype {message.dtype}; expected one of {', '.join(_NUMBERS)}")
    shape = tuple(dim.size for dim in message.tensor_shape.dim)
    try:
        values = _values(message, np.dtype(dtype))
        count = int(np.prod(shape, dtype=np.int64))
        if 0 < len(values) < count and not message.tensor_content:
            values = np.concatenate([values, np.full(count - len(values), values[-1], values.dtype)])
        return values.reshape(shape)
    except (ValueError, OverflowError) as error:
        raise AnswerError(f"{where} does not hold the values of its shape {shape} {dtype}: {error}") from error


def _values(message: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    if message.tensor_content:
        return np.frombuffer(message.tensor_content, dtype)
    if dtype == np.float32:
        return np.frombuffer(b"".join(message.float_val), dtype)
    if dtype == np.float64:
        return np.frombuffer(b"".join(message.double_val), dtype)
    if dtype == np.float16:
        return np.array(message.half_val, np.uint16).view(np.float16)
    return np.array(message.int64_val if dtype == np.int64 else message.int_val, dtype)


def described(infos: Mapping[str, Any]) -> dict[str, DescribedTensor]:
    """The tensors of a SignatureDef's inputs or outputs."""
    return {
        name: DescribedTensor(
            name,
            None if info.tensor_shape.unknown_rank else _shape(dim.size for dim in info.tensor_shape.dim),
            DTYPES.get(info.dtype, "object"),
        )
        for name, info in sorted(infos.items())
    }


def described_in_json(infos: Mapping[str, Any]) -> dict[str, DescribedTensor]:
    """The same from the JSON of the REST interface, where a number is a text."""
    tensors = {}
    for name, info in sorted(infos.items()):
        shape = info.get("tensor_shape", {})
        sizes = None if shape.get("unknown_rank") else _shape(int(dim["size"]) for dim in shape.get("dim", []))
        tensors[name] = DescribedTensor(name, sizes, DTYPE_NAMES.get(info["dtype"], "object"))
    return tensors


def _shape(sizes: Any) -> tuple[int | None, ...]:
    return tuple(None if size < 0 else size for size in sizes)
