"""KServe v2's messages, and tensors in them and in its JSON.

Field numbers: the Open Inference Protocol's grpc_predict_v2.proto. Binary tensors in HTTP: its binary data extension.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.serving.errors import AnswerError
from robot_ai.backends.serving.protocol import DescribedTensor

PACKAGE = "inference"
SCHEMA: Mapping[str, Mapping[str, tuple[int, str]]] = {
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelReadyResponse": {"ready": (1, "bool")},
    "TensorMetadata": {"name": (1, "string"), "datatype": (2, "string"), "shape": (3, "repeated int64")},
    "ModelMetadataRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelMetadataResponse": {
        "versions": (2, "repeated string"),
        "inputs": (4, "repeated TensorMetadata"),
        "outputs": (5, "repeated TensorMetadata"),
    },
    # Packed floats are on the wire what bytes are; written and read as bytes they need no loop over each.
    "InferTensorContents": {
        "int_contents": (2, "repeated int32"),
        "int64_contents": (3, "repeated int64"),
        "uint_contents": (4, "repeated uint32"),
        "uint64_contents": (5, "repeated uint64"),
        "fp32_contents": (6, "repeated bytes"),
        "fp64_contents": (7, "repeated bytes"),
    },
    "InferTensor": {
        "name": (1, "string"),
        "datatype": (2, "string"),
        "shape": (3, "repeated int64"),
        "contents": (5, "InferTensorContents"),
    },
    "InferRequestedOutputTensor": {"name": (1, "string")},
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "inputs": (5, "repeated InferTensor"),
        "outputs": (6, "repeated InferRequestedOutputTensor"),
        "raw_input_contents": (7, "repeated bytes"),
    },
    "ModelInferResponse": {
        "model_version": (2, "string"),
        "outputs": (5, "repeated InferTensor"),
        "raw_output_contents": (6, "repeated bytes"),
    },
}
DTYPES = {
    "FP32": "float32", "FP64": "float64", "FP16": "float16", "INT8": "int8", "INT16": "int16", "INT32": "int32",
    "INT64": "int64", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64", "BOOL": "bool",
}  # fmt: skip
DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}
# Where each dtype goes that is not sent raw. The protocol has no such field for FP16.
_FIELDS = {
    "float32": "fp32_contents", "float64": "fp64_contents", "int8": "int_contents", "int16": "int_contents",
    "int32": "int_contents", "int64": "int64_contents", "uint8": "uint_contents", "uint16": "uint_contents",
    "uint32": "uint_contents", "uint64": "uint64_contents",
}  # fmt: skip


def has_typed_contents(dtype: str) -> bool:
    """Whether a dtype can be sent in another form than raw."""
    return dtype in _FIELDS


def write_contents(message: Any, array: NDArray[Any]) -> None:
    """Fills an InferTensorContents, for a server that takes no raw tensors."""
    values = getattr(message, _FIELDS[array.dtype.name])
    if array.dtype.kind == "f":
        values.append(array.tobytes())
    else:
        values.extend(array.ravel().tolist())


def read_contents(message: Any, where: str) -> NDArray[Any]:
    """The array of an output whose values are in its own message. Raises AnswerError."""
    dtype = numpy_dtype(message.datatype, where)
    if dtype.name not in _FIELDS:
        raise AnswerError(f"{where} is {message.datatype} without raw contents, for which the protocol has no field")
    values = getattr(message.contents, _FIELDS[dtype.name])
    try:
        flat = np.frombuffer(b"".join(values), dtype) if dtype.kind == "f" else np.array(values, dtype)
        return flat.reshape(tuple(message.shape))
    except (ValueError, OverflowError) as error:
        raise _misfit(where, message.shape, dtype, error) from error


def read_raw(data: bytes | memoryview, datatype: str, shape: Sequence[int], where: str) -> NDArray[Any]:
    """The array of a tensor's bytes, which are little-endian and in C order. Raises AnswerError."""
    dtype = numpy_dtype(datatype, where)
    try:
        return np.frombuffer(data, dtype).reshape(tuple(shape))
    except (ValueError, TypeError, OverflowError) as error:
        raise _misfit(where, shape, dtype, error) from error


def read_values(values: Any, datatype: str, shape: Sequence[int], where: str) -> NDArray[Any]:
    """The array of JSON's numbers, nested or flat. Raises AnswerError."""
    dtype = numpy_dtype(datatype, where)
    try:
        return np.array(values, dtype).reshape(tuple(shape))
    except (ValueError, TypeError, OverflowError) as error:
        raise _misfit(where, shape, dtype, error) from error


def numpy_dtype(datatype: str, where: str) -> np.dtype[Any]:
    """NumPy's dtype. Raises AnswerError."""
    if datatype not in DTYPES:
        raise AnswerError(f"{where} has datatype {datatype!r}; expected one of {', '.join(DTYPES)}")
    return np.dtype(DTYPES[datatype])


def described_tensor(name: str, datatype: str, shape: Sequence[int]) -> DescribedTensor:
    """A tensor of a model's metadata, whose free axes are -1."""
    sizes = tuple(None if size < 0 else int(size) for size in shape)
    return DescribedTensor(name, sizes, DTYPES.get(datatype, "object"))


def _misfit(where: str, shape: Sequence[int], dtype: np.dtype[Any], error: Exception) -> AnswerError:
    return AnswerError(f"{where} does not hold the values of its shape {tuple(shape)} {dtype}: {error}")
