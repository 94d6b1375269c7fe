"""SavedModel directories and Keras files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from robot_ai.backends.errors import BackendError
from robot_ai.backends.tensorflow_files import check_h5, check_keras
from robot_ai.backends.tensorflow_process import quiet_import
from robot_ai.model_tool.inspection.errors import OutsidePathError, SignatureError, UnreadableModelError
from robot_ai.model_tool.inspection.readers import import_reader, labels_in, texts
from robot_ai.model_tool.inspection.types import Inspection, TensorInfo
from robot_ai.models.artifacts import Artifact

SAVED_MODEL_FILE = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"


def inspect_saved_model(path: Path, signature: str | None = None) -> Inspection:
    """Describes a signature of a SavedModel from its protocol buffer; the graph is not loaded.

    Raises MissingReaderError, UnreadableModelError, SignatureError or OutsidePathError.
    """
    tensorflow = _tensorflow("SavedModel directories")
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        model = saved_model_pb2.SavedModel.FromString((path / SAVED_MODEL_FILE).read_bytes())
    except Exception as error:
        raise UnreadableModelError(
            f"{path / SAVED_MODEL_FILE} is no SavedModel that can be read: {error}. Export it again"
        ) from error
    graphs = [graph for graph in model.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not graphs:
        raise UnreadableModelError(f"{path} has no graph with the tag 'serve'. Export it with tf.saved_model.save")
    _refuse_outside_files(path, graphs[0])
    # Signatures whose names begin with two underscores are TensorFlow's own.
    signatures = {name: value for name, value in graphs[0].signature_def.items() if not name.startswith("__")}
    chosen = signature or _only(signatures)
    if chosen not in signatures:
        raise SignatureError(
            f"{path} has the signatures {', '.join(sorted(signatures)) or 'none'}; expected "
            f"{chosen or DEFAULT_SIGNATURE}. Choose one with --signature, or export the model with one"
        )
    definition = signatures[chosen]
    metadata = _ultralytics_metadata(path)
    return Inspection(
        path=path,
        format="TensorFlow SavedModel",
        backend="tensorflow",
        inputs=tuple(_tensor(tensorflow, name, info) for name, info in sorted(definition.inputs.items())),
        outputs=tuple(_tensor(tensorflow, name, info) for name, info in sorted(definition.outputs.items())),
        metadata=metadata,
        labels=labels_in(metadata),
        options={} if chosen == DEFAULT_SIGNATURE else {"signature": chosen},
    )


def inspect_keras(path: Path) -> Inspection:
    """Describes a .keras or .h5 file. Keras builds it in safe mode, once it is known to name no foreign code or file.

    Raises MissingReaderError or UnreadableModelError.
    """
    tensorflow = _tensorflow("Keras files")
    try:
        (check_keras if path.suffix == ".keras" else check_h5)(path, Artifact())
        model = tensorflow.keras.models.load_model(path, compile=False, safe_mode=True)
    except BackendError as error:
        raise UnreadableModelError(str(error)) from error
    except Exception as error:
        raise UnreadableModelError(f"{path} cannot be loaded by Keras in safe mode: {error}") from error
    last = model.layers[-1].get_config().get("activation") if model.layers else None
    inputs = [_keras_tensor(value) for value in model.inputs]
    names = list(model.output_names) if len(model.outputs) > 1 else []
    outputs = [_keras_tensor(value) for value in model.outputs]
    if len(names) == len(outputs):
        outputs = [TensorInfo(name, output.shape, output.dtype) for name, output in zip(names, outputs, strict=True)]
    return Inspection(
        path=path,
        format="Keras",
        backend="tensorflow",
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        metadata={"last_operation": str(last)} if last else {},
        parameters=int(model.count_params()),
    )


def _tensorflow(what: str) -> Any:
    with quiet_import():
        return import_reader("tensorflow", "tensorflow", what)


def _tensor(tensorflow: Any, name: str, info: Any) -> TensorInfo:
    shape = info.tensor_shape
    axes = () if shape.unknown_rank else tuple(axis.size if axis.size > 0 else None for axis in shape.dim)
    return TensorInfo(name, axes, str(tensorflow.dtypes.as_dtype(info.dtype).name))


def _keras_tensor(value: Any) -> TensorInfo:
    return TensorInfo(str(value.name), tuple(value.shape), str(value.dtype))


def _only(signatures: dict[str, Any]) -> str:
    """The default signature, or the only one."""
    if DEFAULT_SIGNATURE not in signatures and len(signatures) == 1:
        return next(iter(signatures))
    return DEFAULT_SIGNATURE


def _refuse_outside_files(path: Path, graph: Any) -> None:
    for asset in graph.asset_file_def:
        place = PurePosixPath(asset.filename)
        if place.is_absolute() or ".." in place.parts or "\\" in asset.filename:
            raise OutsidePathError(
                f"{path} refers to the asset {asset.filename}, which lies outside its folder 'assets'. Export it again"
            )


def _ultralytics_metadata(path: Path) -> dict[str, str]:
    """What Ultralytics writes beside a SavedModel."""
    file = path / "metadata.yaml"
    if not file.is_file():
        return {}
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError):
        return {}
    return texts(content) if isinstance(content, dict) else {}
