"""TensorFlow: a Keras model over safetensors weights, or a `.keras` file, in graph mode.

Measured with NanoDet-g on 2 busy cores, batch 1, medians of one run: XLA (jit_compile) gives the same results to 5e-6,
takes 1.1 to 1.3 times as long, compiles for 1 to 2.5 seconds for each new batch size, and refuses the network's pooling
unless it is rewritten. Freezing the variables to constants: 0.87 to 1.02, within the noise. So: a plain graph.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import ArtifactLoadError, BackendError, InferenceError, MissingFrameworkError
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.support import (
    check_inputs,
    check_outputs,
    check_precision,
    check_threads,
    choose_device,
    import_framework,
    import_network,
    read_safetensors,
    weights_file,
    zeros_for,
)
from robot_ai.models.card import Artifact, ModelCard

NAME = "tensorflow"
# A notice of Abseil's and lines of level I (information), as grep's extended regular expression.
START_UP_LINES = r"^(WARNING: All log messages before absl::InitializeLog|I[0-9]{4} )"
_log = logging.getLogger(__name__)


class TensorFlowBackend:
    """Runs the artifact's `network`, a `keras.Model` with a method `load_tensors`, or a `.keras` file.

    The model takes the image in the artifact's layout and gives a dict with the card's output names. It runs as a graph
    with a fixed signature, in which only the batch is free, so that no call retraces.
    """

    framework: str | None = "tensorflow"

    def __init__(self) -> None:
        self._tf: Any = None
        self._graph: Any = None
        self._device = ""
        self._inputs: tuple[TensorSpec, ...] = ()
        self._outputs: tuple[TensorSpec, ...] = ()

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

    def load(self, card: ModelCard, device: str = "auto", threads: int = 0, precision: str = "auto") -> None:
        """Builds the model, traces its graph and runs it once to compare its outputs with the card's.

        TensorFlow takes its thread count once per process, before its first operation; a later, different one is
        logged as a warning and has no effect. Raises NoArtifactError, MissingFrameworkError, DeviceError or
        ArtifactLoadError.
        """
        check_threads(threads)
        artifact = card.artifact_for(NAME)
        check_precision(precision, artifact, (), NAME)
        self._tf = tf = _import_tensorflow()
        gpus = tf.config.list_physical_devices("GPU")
        gpu = choose_device(device, len(gpus), "TensorFlow")
        self._device = "cpu" if gpu is None else f"cuda:{gpu}"
        _set_threads(tf, threads)
        _grow_memory(tf, gpus)
        self._inputs, self._outputs = (card.input_for(NAME).tensor,), card.outputs
        try:
            with tf.device("/CPU:0" if gpu is None else f"/GPU:{gpu}"):
                self._graph = self._trace(_load_model(tf, artifact))
            outputs = self.infer(zeros_for(self._inputs))
            check_outputs(self._outputs, outputs, f"{card.name}, backend '{NAME}'")
        except BackendError:
            self.close()
            raise

    def infer(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Runs one forward pass; the arrays returned are views of the tensors' memory. Raises InferenceError."""
        check_inputs(self._inputs, tensors)
        if self._graph is None:
            raise InferenceError(
                "the TensorFlow backend holds no model; expected `load` before `infer`, and no `close`"
            )
        try:
            outputs = self._graph(self._tf.convert_to_tensor(tensors[self._inputs[0].name]))
            return {name: tensor.numpy() for name, tensor in outputs.items()}
        except Exception as error:
            raise InferenceError(f"TensorFlow failed in a forward pass on {self._device}: {error}") from error

    def close(self) -> None:
        """Drops the model and its graph."""
        self._graph = None

    def _trace(self, model: Any) -> Any:
        """The model as one graph. Its weights stay on the device where it was built, and so do the operations."""
        tf = self._tf
        spec = self._inputs[0]
        names = [output.name for output in self._outputs]
        device = "/CPU:0" if self._device == "cpu" else f"/GPU:{self._device.partition(':')[2]}"

        def forward(batch: Any) -> Any:
            with tf.device(device):
                outputs = model(batch, training=False)
            if isinstance(outputs, dict):
                return outputs
            # A model without output names gives them in the card's order.
            listed = outputs if isinstance(outputs, list | tuple) else [outputs]
            return dict(zip(names, listed, strict=True))

        signature = [tf.TensorSpec(spec.shape, spec.dtype, name=spec.name)]
        try:
            return tf.function(forward, input_signature=signature).get_concrete_function()
        except Exception as error:
            raise ArtifactLoadError(f"the model cannot be traced with input {spec}: {error}") from error


def _import_tensorflow() -> Any:
    """Imports TensorFlow without its start-up messages, and makes sure that Keras stands on it."""
    _check_keras(os.environ.get("KERAS_BACKEND", NAME))
    with _quiet():
        tf = import_framework("tensorflow", NAME)
        try:
            keras = importlib.import_module("keras")
        except ImportError as error:
            raise MissingFrameworkError(
                f"backend '{NAME}' cannot import Keras ({error}). Install it with: pip install 'robot_ai[{NAME}]'"
            ) from error
    _check_keras(keras.backend.backend())
    return tf


def _check_keras(backend: str) -> None:
    """Raises ArtifactLoadError unless Keras runs on TensorFlow, as it does unless told otherwise."""
    if backend != NAME:
        raise ArtifactLoadError(
            f"Keras runs on '{backend}' in this process; expected '{NAME}'. "
            f"Unset KERAS_BACKEND, or set it to {NAME} (also in ~/.keras/keras.json)"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences what TensorFlow says below the level of an error while it is imported for the first time.

    A TF_CPP_MIN_LOG_LEVEL of the user's own stays, and 0 shows everything.
    """
    key = "TF_CPP_MIN_LOG_LEVEL"
    if "tensorflow" in sys.modules or os.environ.get(key) == "0":
        yield
        return
    unset = key not in os.environ
    os.environ.setdefault(key, "2")
    try:
        with _without_start_up_lines():
            yield
    finally:
        if unset:
            del os.environ[key]


@contextmanager
def _without_start_up_lines() -> Iterator[None]:
    """Takes TensorFlow's lines below a warning out of this process' stderr.

    TensorFlow 2.21 writes them before it reads its log level, so no setting stops them. A process of its own does the
    filtering: should TensorFlow kill this one (a CPU without AVX), its last words still arrive.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # closed, as a daemon's may be
        yield
        return
    try:
        command = ["grep", "--text", "--line-buffered", "--invert-match", "--extended-regexp", START_UP_LINES]
        # In a session of its own, so that Ctrl-C does not end it before the process whose words it passes on.
        sieve = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stderr, start_new_session=True)
    except OSError:
        os.close(stderr)
        yield
        return
    assert sieve.stdin is not None
    sys.stderr.flush()
    os.dup2(sieve.stdin.fileno(), 2)
    sieve.stdin.close()
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        with suppress(subprocess.TimeoutExpired):  # a child process that was started meanwhile may still hold the pipe
            sieve.wait(timeout=1)


def _set_threads(tf: Any, threads: int) -> None:
    config = tf.config.threading
    if not threads or config.get_intra_op_parallelism_threads() == threads:
        return
    try:
        config.set_intra_op_parallelism_threads(threads)
        config.set_inter_op_parallelism_threads(1)  # one graph at a time: more would only compete
    except RuntimeError:
        _log.warning(
            "TensorFlow already runs in this process with %s threads (0 is its own choice); %d cannot be set any more. "
            "Restart the process to change it",
            config.get_intra_op_parallelism_threads(),
            threads,
        )


def _grow_memory(tf: Any, gpus: list[Any]) -> None:
    """Lets TensorFlow take GPU memory as needed; by default it takes all and leaves none to other frameworks."""
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            _log.warning(
                "TensorFlow already runs in this process: memory growth of %s cannot be set any more", gpu.name
            )


def _load_model(tf: Any, artifact: Artifact) -> Any:
    """Loads a `.keras` file, or builds the network and fills in its weights. Raises ArtifactLoadError."""
    path = weights_file(artifact, NAME, [".safetensors", ".keras"])
    if path.suffix == ".keras":
        return _load_keras(tf, path)
    network = import_network(artifact, tf.keras.Model, NAME)
    tensors = read_safetensors(path)
    try:
        model = network()
        model.load_tensors(tensors)
    except Exception as error:
        raise ArtifactLoadError(f"{path} does not fit network '{artifact.network}': {error}") from error
    return model


def _load_keras(tf: Any, path: Path) -> Any:
    try:
        # Safe mode refuses a file that carries Python code (a Lambda layer).
        return tf.keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise ArtifactLoadError(f"{path} cannot be loaded by Keras in safe mode: {error}") from error
