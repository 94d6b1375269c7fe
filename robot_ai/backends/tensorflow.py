"""TensorFlow: a Keras model named by the card over safetensors weights, run as a graph."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import ArtifactLoadError, DeviceError, InferenceError
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.support import (
    check_inputs,
    check_outputs,
    check_threads,
    choose_device,
    import_framework,
    import_network,
    read_safetensors,
    weights_file,
)
from robot_ai.models.card import ModelCard

_LOG = logging.getLogger(__name__)


class TensorFlowBackend:
    """Traces the model once into a graph with a free batch axis; eager Keras spends as long on dispatch as on work.

    The model takes (B, H, W, 3) and returns a dictionary of tensors named as the card's outputs. Its class has a method
    `load_tensors(tensors)` that takes the weights by name.
    """

    framework: str | None = "tensorflow"

    def __init__(self) -> None:
        self._inputs: tuple[TensorSpec, ...] = ()
        self._outputs: tuple[TensorSpec, ...] = ()
        self._device = "cpu"
        self._graph: Any = None
        self._model: Any = None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The image input, in the artifact's layout."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """The card's outputs."""
        return self._outputs

    @property
    def device(self) -> str:
        """`cpu` or `cuda:N`."""
        return self._device

    def load(self, card: ModelCard, device: str = "auto", threads: int = 0) -> None:
        """Builds the model, loads the weights, traces the graph and checks its outputs against the card's.

        TensorFlow fixes its threads when it first computes; a later wish for another number is logged and ignored.
        Raises MissingFrameworkError, DeviceError or ArtifactLoadError.
        """
        # C++ start-up messages about CPU features; warnings and errors still come.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
        tf = import_framework("tensorflow", "tensorflow")
        check_threads(threads)
        artifact = card.artifact_for("tensorflow")
        gpu = choose_device(device, len(tf.config.list_physical_devices("GPU")), "TensorFlow")
        _set_threads(tf, threads)
        _grow_gpu_memory(tf)
        self._tf = tf
        self._device = "cpu" if gpu is None else f"cuda:{gpu}"
        self._place = "/CPU:0" if gpu is None else f"/GPU:{gpu}"
        image = card.input_for("tensorflow")
        if image.layout != "NHWC":
            raise ArtifactLoadError("artifact 'tensorflow' has layout NCHW; Keras models take NHWC. Correct the card")
        path = weights_file(artifact, "tensorflow", (".safetensors",))
        with tf.device(self._place):
            model = import_network(artifact, tf.keras.Model, "tensorflow")()
            _load_weights(model, path)
        self._model = model
        signature = tf.TensorSpec(image.tensor.shape, image.dtype)
        self._graph = tf.function(lambda batch: model(batch, training=False), input_signature=[signature])
        self._inputs, self._outputs = (image.tensor,), card.outputs
        probe = np.zeros([axis or 1 for axis in image.tensor.shape], image.dtype)
        check_outputs(card.outputs, self._forward(probe), str(path))

    def infer(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Runs the graph. Raises InferenceError."""
        check_inputs(self._inputs, tensors)
        return self._forward(tensors[self._inputs[0].name])

    def close(self) -> None:
        """Releases the model and its graph."""
        self._graph = self._model = None

    def _forward(self, batch: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
        try:
            with self._tf.device(self._place):
                outputs = self._graph(self._tf.constant(batch))
            return {spec.name: outputs[spec.name].numpy() for spec in self._outputs}
        except KeyError as error:
            raise InferenceError(f"the model gives no output {error}; it gives {', '.join(outputs)}") from error
        except (self._tf.errors.OpError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise InferenceError(f"TensorFlow failed in the forward pass on {self._device}: {error}") from error


def _load_weights(model: Any, path: Path) -> None:
    if not hasattr(model, "load_tensors"):
        raise ArtifactLoadError(
            f"{type(model).__name__} has no method load_tensors(tensors), which takes the weights by name; add it"
        )
    try:
        model.load_tensors(read_safetensors(path))
    except ValueError as error:
        raise ArtifactLoadError(f"{path} does not fit {type(model).__name__}: {error}") from error


def _set_threads(tf: Any, threads: int) -> None:
    if not threads or tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        _LOG.warning(
            "TensorFlow already computes in this process with other threads; threads=%d is ignored until the process "
            "is started anew",
            threads,
        )


def _grow_gpu_memory(tf: Any) -> None:
    """Takes GPU memory as needed; by default TensorFlow takes all of it, and PyTorch beside it gets none."""
    for gpu in tf.config.list_physical_devices("GPU"):
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError as error:
            if not tf.config.experimental.get_memory_growth(gpu):
                raise DeviceError(
                    f"TensorFlow was started in this process without memory growth on {gpu.name}: {error}. Load the "
                    "tensorflow backend before other code computes with TensorFlow"
                ) from error
