"""Our messages are on the wire what the official ones are, in both directions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from robot_ai.backends.serving import kserve_tensors, tensorflow_tensors
from robot_ai.backends.serving.errors import AnswerError
from robot_ai.backends.serving.messages import build_messages

OURS = build_messages(tensorflow_tensors.PACKAGE, tensorflow_tensors.SCHEMA)
V2 = build_messages(kserve_tensors.PACKAGE, kserve_tensors.SCHEMA)
ARRAYS = st.sampled_from(["float32", "float64", "float16", "int64", "int32", "uint8", "int8"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
)


def same(ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    np.testing.assert_array_equal(ours, theirs)


@pytest.fixture(scope="module")
def tfs() -> SimpleNamespace:
    """The official classes of TensorFlow Serving."""
    pytest.importorskip("tensorflow", exc_type=ImportError)
    import tensorflow as tf
    from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, predict_pb2

    return SimpleNamespace(tf=tf, predict=predict_pb2, metadata=get_model_metadata_pb2, status=get_model_status_pb2)


@pytest.fixture(scope="module")
def v2() -> Any:
    """The official classes of KServe v2."""
    from tritonclient.grpc import service_pb2

    return service_pb2


@given(array=ARRAYS)
def test_a_tensor_of_ours_is_tensorflows(tfs: SimpleNamespace, array: NDArray[Any]) -> None:
    ours = OURS.TensorProto()
    tensorflow_tensors.write_tensor(ours, array)
    proto = tfs.tf.make_tensor_proto(0)
    proto.ParseFromString(ours.SerializeToString())
    same(array, tfs.tf.make_ndarray(proto))


@given(array=ARRAYS, typed=st.booleans())
def test_a_tensor_of_tensorflows_is_ours(tfs: SimpleNamespace, array: NDArray[Any], typed: bool) -> None:
    proto = tfs.tf.make_tensor_proto(array)
    if typed and proto.tensor_content:
        content = array.ravel()
        proto.tensor_content = b""
        field = {"float32": "float_val", "float64": "double_val", "float16": "half_val", "int64": "int64_val"}
        values = content.view(np.uint16) if array.dtype == np.float16 else content
        getattr(proto, field.get(array.dtype.name, "int_val")).extend(values.tolist())
    same(tensorflow_tensors.read_tensor(OURS.TensorProto.FromString(proto.SerializeToString()), "x"), array)


def test_a_last_value_that_is_repeated_is_filled_up(tfs: SimpleNamespace) -> None:
    proto = tfs.tf.make_tensor_proto(7.0, shape=(2, 3))
    assert len(proto.float_val) == 1
    ours = OURS.TensorProto.FromString(proto.SerializeToString())
    same(tensorflow_tensors.read_tensor(ours, "x"), np.full((2, 3), 7, np.float32))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"dtype": 1, "tensor_content": b"12345"}, "does not hold the values"),
        ({"dtype": 7}, "has TensorFlow's dtype 7"),
        ({"dtype": 1, "float_val": [b"12345678"], "tensor_shape": {"dim": [{"size": -2}]}}, "does not hold"),
        ({"dtype": 1, "tensor_shape": {"dim": [{"size": 1 << 40}, {"size": 1 << 40}]}}, "does not hold"),
        ({"dtype": 1}, "does not hold"),
    ],
)
def test_a_tensor_that_does_not_hold_together_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(AnswerError, match=f"^here .*{said}"):
        tensorflow_tensors.read_tensor(OURS.TensorProto(**fields), "here")


def test_a_request_of_ours_is_tensorflow_servings(tfs: SimpleNamespace) -> None:
    ours = OURS.PredictRequest(output_filter=["boxes"])
    ours.model_spec.name, ours.model_spec.version.value, ours.model_spec.signature_name = "m", 3, "detect"
    tensorflow_tensors.write_tensor(ours.inputs["image"], np.ones((1, 2), np.float32))
    official = tfs.predict.PredictRequest.FromString(ours.SerializeToString())
    assert (official.model_spec.name, official.model_spec.version.value) == ("m", 3)
    assert official.model_spec.signature_name == "detect"
    assert official.model_spec.WhichOneof("version_choice") == "version"
    assert list(official.output_filter) == ["boxes"]
    same(tfs.tf.make_ndarray(official.inputs["image"]), np.ones((1, 2), np.float32))


@given(array=ARRAYS.filter(lambda array: array.dtype != np.float16))
def test_typed_contents_are_the_official_ones(v2: Any, array: NDArray[Any]) -> None:
    ours = V2.InferTensor(name="t", datatype=kserve_tensors.DATATYPES[array.dtype.name], shape=array.shape)
    kserve_tensors.write_contents(ours.contents, array)
    official = v2.ModelInferRequest.InferInputTensor.FromString(ours.SerializeToString())
    (field,) = official.contents.ListFields() or [(None, [])]
    np.testing.assert_array_equal(np.array(field[1], array.dtype), array.ravel())
    same(kserve_tensors.read_contents(V2.InferTensor.FromString(official.SerializeToString()), "x"), array)


def test_a_request_of_ours_is_kserves(v2: Any) -> None:
    ours = V2.ModelInferRequest(model_name="m", model_version="2", raw_input_contents=[b"1234"])
    ours.inputs.add(name="image", datatype="FP32", shape=[1])
    ours.outputs.add(name="boxes")
    official = v2.ModelInferRequest.FromString(ours.SerializeToString())
    assert (official.model_name, official.model_version, list(official.raw_input_contents)) == ("m", "2", [b"1234"])
    assert (official.inputs[0].name, official.inputs[0].datatype, list(official.inputs[0].shape)) == (
        "image",
        "FP32",
        [1],
    )
    assert official.outputs[0].name == "boxes"


@given(data=st.binary(max_size=40), datatype=st.sampled_from(["FP32", "INT8", "BYTES", ""]),
       shape=st.lists(st.integers(-3, 4), max_size=3))  # fmt: skip
def test_no_raw_answer_raises_anything_else(data: bytes, datatype: str, shape: list[int]) -> None:
    try:
        array = kserve_tensors.read_raw(data, datatype, shape, "x")
    except AnswerError:
        return
    assert array.nbytes == len(data)
