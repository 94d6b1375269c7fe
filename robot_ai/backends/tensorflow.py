"""TensorFlow: SavedModels, `.keras` and `.h5` files, or a Keras model over safetensors weights, in graph mode.

Measured with NanoDet-g on 2 busy cores, batch 1, medians of one run: XLA (jit_compile) gives the same results to 5e-6,
takes 1.1 to 1.3 times as long, compiles for 1 to 2.5 seconds for each new batch size, and refuses the network's pooling
unless it is rewritten, so it is an option. Freezing the variables to constants: 0.87 to 1.02, within the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.base import FrameworkBackend, LoadRequest
from robot_ai.backends.errors import ArtifactLoadError, BackendError
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.support import (
    TensorNames,
    bind_tensors,
    check_precision,
    choose_device,
    import_network,
    name_outputs,
    read_safetensors,
    weights_path,
)
from robot_ai.backends.tensorflow_files import check_h5, check_keras, check_saved_model
from robot_ai.backends.tensorflow_process import forget_kernels, grow_memory, import_tensorflow, set_threads
from robot_ai.models.card import Artifact

OPTIONS = {
    "signature": "of a SavedModel (its only one, else serving_default)",
    "xla": "whether XLA compiles the graph, once for each batch size (false)",
}
# From a batch in the artifact's layout to what the model gives for it.
Model = Callable[[Any], Any]


class TensorFlowBackend(FrameworkBackend):
    """Runs a model on the CPU or one GPU, as a graph in which only the batch is free, so that no call retraces.

    The model takes the image in the artifact's layout and gives a dict with the card's output names, or tensors alone,
    which are taken in the card's order. A network named by the card is a `keras.Model` with a method `load_tensors`.
    """

    name = "tensorflow"
    title = "TensorFlow"
    framework = "tensorflow"
    known = OPTIONS

    def __init__(self) -> None:
        super().__init__()
        self._tf: Any = None
        self._graph: Any = None
        # What owns the variables that the graph reads.
        self._owner: Any = None
        self._place = ""

    def load(self, card: Any, device: str = "auto", threads: int = 0, precision: str = "auto") -> None:
        """See FrameworkBackend. TensorFlow takes its thread count once per process, before its first operation; a
        later, different one is logged as a warning and has no effect.
        """
        super().load(card, device, threads, precision)

    def _open(self, request: LoadRequest) -> None:
        artifact = request.artifact
        self._tf = tf = import_tensorflow()
        self._opens_cyclic()
        gpus = tf.config.list_physical_devices("GPU")
        gpu = choose_device(request.device, len(gpus), self.title)
        self._device, self._place = ("cpu", "/CPU:0") if gpu is None else (f"cuda:{gpu}", f"/GPU:{gpu}")
        path = weights_path(artifact, self.name, [".safetensors", ".keras", ".h5"])
        # What was stored whole has its dtypes in the graph.
        computed = ["bfloat16", *([] if gpu is None else ["float16"])] if path.suffix == ".safetensors" else []
        precision = check_precision(request.precision, artifact, computed, f"{self.title} on {self._device}")
        set_threads(tf, request.threads)
        grow_memory(tf, gpus)
        with tf.device(self._place):
            model = self._read(path, request, precision)
            self._graph = self._trace(model, request.options.flag("xla", False))

    def _read(self, path: Path, request: LoadRequest, precision: str) -> Model:
        """The model as a function; `_owner` keeps its variables. Raises ArtifactLoadError."""
        try:
            if path.is_dir():
                return self._read_saved_model(path, request)
            if path.suffix == ".safetensors":
                self._owner = self._read_weights(path, request.artifact, precision)
            else:
                (check_keras if path.suffix == ".keras" else check_h5)(path, request.artifact)
                # Safe mode refuses a file that carries Python code (a Lambda layer).
                self._owner = self._tf.keras.models.load_model(path, compile=False, safe_mode=True)
        except BackendError:
            raise
        except Exception as error:
            how = "Keras in safe mode" if path.suffix in (".keras", ".h5") else "TensorFlow"
            raise ArtifactLoadError(f"{path} cannot be loaded by {how}: {error}. Restore it") from error
        batch = getattr(self._owner, "input_shape", None)
        self._batch = batch[0] if isinstance(batch, tuple) and isinstance(batch[0], int) else None
        owner, outputs, artifact = self._owner, self._outputs, request.artifact
        return lambda image: name_outputs(owner(image, training=False), outputs, artifact)

    def _read_weights(self, path: Path, artifact: Artifact, precision: str) -> Any:
        """Builds the network that the card names and fills in its weights."""
        keras = self._tf.keras
        network = import_network(artifact, keras.Model, self.name)
        tensors = read_safetensors(path)
        policy = keras.config.dtype_policy()
        try:
            if precision != artifact.precision:
                keras.config.set_dtype_policy(f"mixed_{precision}")
            model = network()
            model.load_tensors(tensors)
        except Exception as error:
            raise ArtifactLoadError(f"{path} does not fit network '{artifact.network}': {error}") from error
        finally:
            keras.config.set_dtype_policy(policy)
        return model

    def _read_saved_model(self, path: Path, request: LoadRequest) -> Model:
        signature = check_saved_model(path, request.options.text("signature"))
        self._owner = loaded = self._tf.saved_model.load(str(path))
        function = loaded.signatures[signature]
        _, taken = function.structured_input_signature
        own_inputs = [_spec(name, spec) for name, spec in taken.items()]
        names: TensorNames = bind_tensors(
            request.card,
            self.name,
            own_inputs,
            [_spec(name, spec) for name, spec in function.structured_outputs.items()],
        )
        self._batch = own_inputs[0].shape[0]
        fed = names.inputs[self._inputs[0].name]
        dtype = taken[fed].dtype

        def call(image: Any) -> Mapping[str, Any]:
            outputs = function(**{fed: self._tf.cast(image, dtype)})
            return {name: outputs[own] for name, own in names.outputs.items()}

        return call

    def _trace(self, model: Model, xla: bool) -> Any:
        """The model as one graph. Its weights stay on the device where it was built, and so do the operations."""
        tf, place = self._tf, self._place
        spec = self._inputs[0]
        dtypes = {output.name: tf.as_dtype(output.dtype) for output in self._outputs}

        def forward(batch: Any) -> Any:
            with tf.device(place):
                outputs = model(batch)
                return {
                    name: tf.cast(tensor, dtypes[name])
                    if tensor.dtype.is_floating and dtypes[name].is_floating
                    else tensor
                    for name, tensor in outputs.items()
                }

        signature = [tf.TensorSpec((self._batch, *spec.shape[1:]), spec.dtype, name=spec.name)]
        try:
            function = tf.function(forward, input_signature=signature, jit_compile=xla or None, autograph=False)
            return function.get_concrete_function()
        except BackendError:
            raise
        except Exception as error:
            raise ArtifactLoadError(f"the model cannot be traced with input {spec}: {error}") from error

    def _forward(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        outputs = self._graph(self._tf.convert_to_tensor(tensors[self._inputs[0].name]))
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def _release(self) -> None:
        if self._owner is None:
            return
        self._graph = self._owner = None
        forget_kernels()


def _spec(name: str, own: Any) -> TensorSpec:
    return TensorSpec(name, tuple(own.shape.as_list()) if own.shape.rank is not None else (), own.dtype.name)
