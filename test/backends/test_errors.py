"""How frameworks say that memory ran out, told from their other failures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from robot_ai.backends.errors import InferenceError, is_out_of_memory

HUGE = 1 << 46  # elements; no machine has that much


def _numpy() -> object:
    return np.empty(HUGE * 64, np.float64)


def _pytorch() -> object:
    torch = pytest.importorskip("torch", exc_type=ImportError)
    return torch.empty(HUGE, dtype=torch.float64)


def _tensorflow() -> object:
    tf = pytest.importorskip("tensorflow", exc_type=ImportError)
    return tf.random.uniform((HUGE // 2**20, 2**20))


def _onnx() -> object:
    ort = pytest.importorskip("onnxruntime", exc_type=ImportError)
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    from onnx import TensorProto, helper

    node = helper.make_node("ConstantOfShape", ["shape"], ["filled"])
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [1])
    filled = helper.make_tensor_value_info("filled", TensorProto.FLOAT, [None])
    graph = helper.make_graph([node], "huge", [shape], [filled])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = ort.InferenceSession(onnx.ModelProto.SerializeToString(model), providers=["CPUExecutionProvider"])
    return session.run(None, {"shape": np.array([HUGE], np.int64)})


@pytest.mark.parametrize("ask", [_numpy, _pytorch, _tensorflow, _onnx])
def test_a_framework_that_finds_no_memory_is_told_apart(ask: Callable[[], object]) -> None:
    with pytest.raises(Exception) as caught:
        ask()
    with pytest.raises(InferenceError) as wrapped:  # as backends raise it
        raise InferenceError("the framework failed in a forward pass") from caught.value
    assert is_out_of_memory(wrapped.value), str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 20.00 MiB",
        "std::bad_alloc",
        "OOM when allocating tensor with shape[1,2] and type float",
        "Failed to allocate memory for requested buffer of size 99",
    ],
)
def test_what_is_said_on_other_devices_counts_too(text: str) -> None:
    assert is_out_of_memory(RuntimeError(text))


@pytest.mark.parametrize(
    "text",
    ["shapes do not match", "the room is full", "RESOURCE_EXHAUSTED: received message larger than max (5 vs. 4)"],
)
def test_any_other_failure_does_not(text: str) -> None:
    assert not is_out_of_memory(RuntimeError(text)) and not is_out_of_memory(None)
