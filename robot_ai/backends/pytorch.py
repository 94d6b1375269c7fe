"""PyTorch: an `nn.Module` over safetensors weights.

Measured with NanoDet-g on 2 cores, batch 1: channels-last memory takes 25 % off the forward pass and gives the same
results; torch.jit freezing another 5 %, but it is deprecated and its first passes are slow; torch.compile nothing that
would pay for half a minute of loading. So: eager, channels last.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import ArtifactLoadError, BackendError, InferenceError
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
from robot_ai.models.card import ModelCard

NAME = "pytorch"


class PyTorchBackend:
    """Runs the artifact's `network`, an `nn.Module` without constructor arguments, on the CPU or one CUDA GPU.

    The network takes an image as (B, 3, H, W). With the artifact's layout NHWC the batch is passed as a view in
    channels-last memory, without a copy. It returns a dict of tensors with the card's output names.
    """

    framework: str | None = "torch"

    def __init__(self) -> None:
        self._torch: Any = None
        self._module: Any = None
        self._device: Any = None
        self._inputs: tuple[TensorSpec, ...] = ()
        self._outputs: tuple[TensorSpec, ...] = ()
        self._channels_last = False
        self._threads = 0
        self._staging: Any = None

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
        return str(self._device)

    def load(self, card: ModelCard, device: str = "auto", threads: int = 0, precision: str = "auto") -> None:
        """Builds the network, fills in its weights and runs it once to compare its outputs with the card's.

        Raises NoArtifactError, MissingFrameworkError, DeviceError or ArtifactLoadError.
        """
        check_threads(threads)
        artifact = card.artifact_for(NAME)
        check_precision(precision, artifact, (), NAME)
        self._torch = torch = import_framework("torch", NAME)
        gpu = choose_device(device, torch.cuda.device_count() if torch.cuda.is_available() else 0, "PyTorch")
        self._device = torch.device("cpu" if gpu is None else f"cuda:{gpu}")
        self._threads = threads
        image = card.input_for(NAME)
        self._channels_last = image.layout == "NHWC"
        path = weights_file(artifact, NAME, [".safetensors"])
        network = import_network(artifact, torch.nn.Module, NAME)
        arrays = read_safetensors(path)
        try:
            weights = {name: torch.from_numpy(array) for name, array in arrays.items()}
            module = network()
            module.load_state_dict(weights)  # casts the stored float16 to the parameters' float32
            memory_format = torch.channels_last if self._channels_last else torch.contiguous_format
            self._module = module.eval().requires_grad_(False).to(self._device, memory_format=memory_format)
        except Exception as error:
            raise ArtifactLoadError(f"{path} does not fit network '{artifact.network}': {error}") from error
        self._inputs, self._outputs = (image.tensor,), card.outputs
        self._probe(card)

    def infer(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Runs one forward pass; the arrays returned are views of the tensors' memory. Raises InferenceError."""
        check_inputs(self._inputs, tensors)
        if self._module is None:
            raise InferenceError("the PyTorch backend holds no model; expected `load` before `infer`, and no `close`")
        try:
            return self._forward(tensors[self._inputs[0].name])
        except Exception as error:
            raise InferenceError(f"PyTorch failed in a forward pass on {self._device}: {error}") from error

    def close(self) -> None:
        """Drops the model; on a GPU its memory goes back to the driver."""
        self._module = self._staging = None
        if self._device is not None and self._device.type == "cuda":
            self._torch.cuda.empty_cache()

    def _probe(self, card: ModelCard) -> None:
        try:
            outputs = self.infer(zeros_for(self._inputs))
            check_outputs(self._outputs, outputs, f"{card.name}, backend '{NAME}'")
        except BackendError:
            self.close()
            raise

    def _forward(self, batch: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
        torch = self._torch
        # PyTorch keeps the thread count per calling thread, so it is set where the forward pass runs.
        if self._threads and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            x = self._to_device(torch.from_numpy(batch))
            outputs = self._module(x.permute(0, 3, 1, 2) if self._channels_last else x)
            if self._device.type == "cuda":
                outputs = {name: tensor.to("cpu", non_blocking=True) for name, tensor in outputs.items()}
                torch.cuda.current_stream(self._device).synchronize()
            return {name: tensor.numpy() for name, tensor in outputs.items()}

    def _to_device(self, host: Any) -> Any:
        """On a GPU, copies through page-locked memory, kept between calls, so that the copy does not block."""
        if self._device.type == "cpu":
            return host
        if self._staging is None or len(self._staging) < len(host):
            self._staging = self._torch.empty(host.shape, dtype=host.dtype, pin_memory=True)
        staged = self._staging[: len(host)]
        staged.copy_(host)
        return staged.to(self._device, non_blocking=True)
