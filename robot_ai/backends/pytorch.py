"""PyTorch: an `nn.Module` named by the card over safetensors weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.errors import ArtifactLoadError, InferenceError
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


class PyTorchBackend:
    """Runs eagerly in inference mode, in channels-last memory, which needs no copy of a camera's interleaved pixels.

    The network takes (B, 3, H, W) and returns a dictionary of tensors named as the card's outputs. With `layout: NHWC`
    in the artifact, `infer` takes (B, H, W, 3) and shows it to the network as a transposed view.
    """

    framework: str | None = "torch"

    def __init__(self) -> None:
        self._inputs: tuple[TensorSpec, ...] = ()
        self._outputs: tuple[TensorSpec, ...] = ()
        self._device = "cpu"
        self._network: Any = None

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
        """Builds the network, loads the weights and checks its outputs against the card's.

        `threads` is a setting of the whole process in PyTorch. Raises MissingFrameworkError, DeviceError or
        ArtifactLoadError.
        """
        torch = import_framework("torch", "pytorch")
        check_threads(threads)
        artifact = card.artifact_for("pytorch")
        gpu = choose_device(device, torch.cuda.device_count() if torch.cuda.is_available() else 0, "PyTorch")
        if threads:
            torch.set_num_threads(threads)
        network = import_network(artifact, torch.nn.Module, "pytorch")()
        path = weights_file(artifact, "pytorch", (".safetensors",))
        weights = {name: torch.from_numpy(array).float() for name, array in read_safetensors(path).items()}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise ArtifactLoadError(f"{path} does not fit network '{artifact.network}': {error}") from error
        self._device = "cpu" if gpu is None else f"cuda:{gpu}"
        self._torch = torch
        self._network = network.eval().to(self._device, memory_format=torch.channels_last)
        image = card.input_for("pytorch")
        self._interleaved = image.layout == "NHWC"
        self._inputs, self._outputs = (image.tensor,), card.outputs
        probe = np.zeros([axis or 1 for axis in image.tensor.shape], image.dtype)
        check_outputs(card.outputs, self._forward(probe), str(path))

    def infer(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Runs the network. Raises InferenceError."""
        check_inputs(self._inputs, tensors)
        return self._forward(tensors[self._inputs[0].name])

    def close(self) -> None:
        """Releases the network and, on a GPU, the memory that PyTorch keeps for it."""
        self._network = None
        if self._device != "cpu":
            self._torch.cuda.empty_cache()

    def _forward(self, batch: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
        torch = self._torch
        try:
            with torch.inference_mode():
                tensor = torch.from_numpy(batch)
                if self._interleaved:
                    tensor = tensor.permute(0, 3, 1, 2)
                if self._device != "cpu":
                    # From pinned memory the copy runs beside the host; the kernels that read it follow in the stream.
                    tensor = tensor.pin_memory().to(self._device, non_blocking=True)
                outputs = self._network(tensor)
                # .cpu() waits for the GPU, so the caller may reuse `batch`.
                return {spec.name: outputs[spec.name].cpu().numpy() for spec in self._outputs}
        except KeyError as error:
            raise InferenceError(f"the network gives no output {error}; it gives {', '.join(outputs)}") from error
        # PyTorch raises RuntimeError and its subclasses, for a GPU out of memory among others, and for odd networks
        # whatever their code raises.
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise InferenceError(f"PyTorch failed in the forward pass on {self._device}: {error}") from error
