"""TensorFlow's side of export: loading functions, SavedModel, Keras, ONNX and LiteRT files, and quantization."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.support import import_network, read_safetensors
from robot_ai.backends.tensorflow_files import check_h5, check_keras, check_saved_model
from robot_ai.backends.tensorflow_process import import_tensorflow
from robot_ai.model_tool.export.errors import ConverterError
from robot_ai.model_tool.export.onnx_formats import OPSET, OnnxModel, is_lossless, name_batch_axis, own_names
from robot_ai.models.card import ModelCard

SIGNATURE = "serving_default"
Batches = Callable[[], Iterator[NDArray[Any]]]


@dataclass(frozen=True)
class TensorFlowModel:
    """A function from an image batch of `shape` (None, H, W, 3) to a dictionary with the card's output names.

    keras: the Keras model it comes from, None where it was none. The first axis of `shape` is 1 for a fixed batch.
    """

    forward: Callable[[Any], dict[str, Any]]
    shape: tuple[int | None, ...]
    dtype: str
    input_name: str
    output_names: tuple[str, ...]
    keras: Any = None


def load(card: ModelCard, backend: str) -> TensorFlowModel:
    """The function of a card's TensorFlow artifact: a network over safetensors, a Keras file, or a SavedModel."""
    tf = import_tensorflow()
    artifact = card.artifact_for(backend)
    assert artifact.path is not None
    if artifact.path.is_dir():
        name = check_saved_model(artifact.path, str(artifact.options.get("signature", "")))
        return _from_saved_model(artifact.path, card, name, dict(artifact.tensors), card.input_for(backend).layout)
    if artifact.path.suffix == ".safetensors":
        keras = import_network(artifact, tf.keras.Model, backend)()
        keras.load_tensors(read_safetensors(artifact.path))
    else:
        (check_h5 if artifact.path.suffix == ".h5" else check_keras)(artifact.path, artifact)
        keras = tf.keras.models.load_model(artifact.path, compile=False, safe_mode=True)
    names = tuple(output.name for output in card.outputs)

    def forward(image: Any) -> dict[str, Any]:
        found = keras(image, training=False)
        if isinstance(found, dict):
            return {name: found[artifact.own_name(name)] for name in names}
        return dict(zip(names, found if isinstance(found, list | tuple) else [found], strict=True))

    return _model(forward, card, keras)


def _model(
    forward: Callable[[Any], dict[str, Any]], card: ModelCard, keras: Any = None, batch: int | None = None
) -> TensorFlowModel:
    image = replace(card.inputs[0], layout="NHWC")
    shape = (batch, *image.tensor.shape[1:])
    names = tuple(output.name for output in card.outputs)
    return TensorFlowModel(forward, shape, image.dtype, image.name, names, keras)


def _from_saved_model(
    path: Path, card: ModelCard, signature: str, tensors: dict[str, str], layout: str
) -> TensorFlowModel:
    tf = import_tensorflow()
    loaded = tf.saved_model.load(str(path))
    if signature not in loaded.signatures:
        raise ConverterError(f"{path} has the signatures {', '.join(loaded.signatures)}; expected '{signature}'")
    function = loaded.signatures[signature]
    (own_input,) = function.structured_input_signature[1]
    own_outputs = list(function.structured_outputs)
    lone = len(own_outputs) == len(card.outputs) == 1
    names = {spec.name: own_outputs[0] if lone else tensors.get(spec.name, spec.name) for spec in card.outputs}
    if missing := [name for name in names.values() if name not in own_outputs]:
        raise ConverterError(f"{path} gives {', '.join(own_outputs)}; expected {', '.join(missing)}")

    def forward(image: Any) -> dict[str, Any]:
        batch = tf.transpose(image, [0, 3, 1, 2]) if layout == "NCHW" else image
        found = function(**{own_input: batch})
        return {name: found[own] for name, own in names.items()}

    forward.__dict__["holder"] = loaded  # its variables live as long as it does
    return _model(forward, card, batch=function.structured_input_signature[1][own_input].shape[0])


def from_onnx(model: OnnxModel, card: ModelCard, folder: Path, say: Callable[[str], None]) -> TensorFlowModel:
    """The function of the SavedModel that onnx2tf makes of an ONNX file, in an environment of its own."""
    from robot_ai.model_tool.export import onnx2tf_run

    tensors, layout = onnx2tf_run.convert(model, card, folder, say)
    return _from_saved_model(folder, card, SIGNATURE, tensors, layout)


def frozen(model: TensorFlowModel, batch: int | None) -> Any:
    """The model as a concrete function whose weights are constants; its outputs are a list by sorted name."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec((batch or model.shape[0], *model.shape[1:]), model.dtype, name=model.input_name)

    def named(image: Any) -> dict[str, Any]:
        return {name: tf.identity(tensor, name=name) for name, tensor in model.forward(image).items()}

    return convert_variables_to_constants_v2(tf.function(named).get_concrete_function(spec))


def sealed(model: TensorFlowModel, batch: int | None = None) -> Any:
    """The model as a `tf.function` of its image alone, with the weights as constants inside."""
    import tensorflow as tf

    function = frozen(model, batch)
    names = sorted(model.output_names)
    spec = tf.TensorSpec((batch or model.shape[0], *model.shape[1:]), model.dtype, name=model.input_name)

    def serve(image: Any) -> dict[str, Any]:
        return dict(zip(names, function(image), strict=True))

    return tf.function(serve, input_signature=[spec])


def to_saved_model(model: TensorFlowModel, path: Path, batch: int | None = None) -> None:
    """Writes a SavedModel with one signature and the weights as constants."""
    import tensorflow as tf

    module = tf.Module()
    module.serve = sealed(model, batch)
    shutil.rmtree(path, ignore_errors=True)
    concrete = module.serve.get_concrete_function()
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: concrete})
    # Says when it was made, which would give the same model another checksum every time; nothing reads it.
    (path / "fingerprint.pb").unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        (path / "assets").rmdir()  # there when it is not empty


def to_onnx(model: TensorFlowModel, path: Path) -> OnnxModel:
    """Writes what tf2onnx makes of the function; the image stays NHWC."""
    import tf2onnx

    # What a SavedModel's function holds beside its variables would become inputs of the ONNX graph.
    function = sealed(model)
    signature = function.input_signature
    tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET, output_path=str(path))
    name_batch_axis(path)
    return OnnxModel(path, "NHWC", own_names(path, model.input_name, model.output_names))


def to_keras(model: TensorFlowModel, path: Path) -> None:
    """Writes a .keras file of Keras' own layers. Raises ConverterError when the source is no Keras model."""
    import tensorflow as tf

    if model.keras is None:
        raise ConverterError(
            "a .keras file holds layers, and this source has only a graph; export saved_model instead, or export from "
            "an artifact of Keras layers with --from tensorflow"
        )
    # As a plain functional model: a class of the user's own could not be loaded elsewhere.
    plain = tf.keras.Model(model.keras.inputs, model.keras.output, name="network")
    plain.save(path)
    tf.keras.models.load_model(path, compile=False, safe_mode=True)


@contextlib.contextmanager
def _converter(model: TensorFlowModel) -> Iterator[Any]:
    """TensorFlow's own converter, over a SavedModel with a batch of one: most runtimes plan memory for one shape."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        to_saved_model(model, Path(folder) / "model", batch=1)
        yield tf.lite.TFLiteConverter.from_saved_model(str(Path(folder) / "model"), signature_keys=[SIGNATURE])


def to_tflite(model: TensorFlowModel, path: Path) -> None:
    """Writes a float .tflite file, its weights stored as float16 where that loses nothing."""
    import tensorflow as tf

    with _converter(model) as converter:
        if weights_are_float16(model):
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        path.write_bytes(converter.convert())


def to_tflite_int8(model: TensorFlowModel, path: Path, batches: Batches) -> None:
    """Writes a .tflite file that computes in int8 throughout; its input and outputs stay float32.

    `batches` gives preprocessed batches of one, from which the converter learns the range of every activation.
    """
    import tensorflow as tf

    def representative() -> Iterator[dict[str, Any]]:
        for batch in batches():
            yield {model.input_name: batch}

    with _converter(model) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        path.write_bytes(converter.convert())


def weights_are_float16(model: TensorFlowModel) -> bool:
    """Whether all weights are float16 numbers."""
    import tensorflow as tf

    large = [
        tf.make_ndarray(node.attr["value"].tensor)
        for node in frozen(model, 1).graph.as_graph_def().node
        if node.op == "Const" and np.prod([d.size for d in node.attr["value"].tensor.tensor_shape.dim], initial=1) > 256
    ]
    return all(is_lossless(array) for array in large if array.dtype == np.float32)
