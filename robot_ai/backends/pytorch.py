"""PyTorch: `torch.export` programs, TorchScript, or an `nn.Module` over safetensors weights.

Measured with NanoDet-g on 2 cores, batch 1: channels-last memory takes 25 % off the forward pass and gives the same
results; torch.jit freezing another 5 %, but it is deprecated and its first passes are slow; torch.compile nothing that
would pay for half a minute of loading, so it is an option.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.base import FrameworkBackend, LoadRequest
from robot_ai.backends.errors import ArtifactLoadError, BackendError, BackendOptionError, InferenceError
from robot_ai.backends.protocol import Tensors
from robot_ai.backends.support import (
    check_precision,
    choose_device,
    import_framework,
    import_network,
    name_outputs,
    read_safetensors,
    weights_file,
)
from robot_ai.backends.torch_archives import check_exported, check_torchscript
from robot_ai.backends.torch_device import Cpu, CudaGpu, TorchDevice
from robot_ai.backends.torch_process import forget_programs
from robot_ai.models.card import Artifact

EXPORTED, TORCHSCRIPT, WEIGHTS = (".pt2",), (".pt", ".pth", ".ts", ".torchscript"), (".safetensors",)

HALVES = ("float16", "bfloat16")

OPTIONS = {
    "compile": "whether torch.compile compiles the network, which takes a C++ compiler and a minute (false)",
    "channels_last": "whether the network computes in channels-last memory (true where the layout is NHWC)",
    "batch": "the batch that a TorchScript file is fixed to, which it does not tell (any)",
}


class PyTorchBackend(FrameworkBackend):
    """Runs a network on the CPU or one CUDA GPU.

    The network takes an image as (B, 3, H, W), pillars as (B, C, H, W). With the artifact's layout NHWC the batch is
    passed as a view in channels-last memory, without a copy. It returns a dict of tensors with the card's output names,
    or tensors alone, which are taken in the card's order.
    """

    name = "pytorch"
    title = "PyTorch"
    framework = "torch"
    known = OPTIONS

    def __init__(self) -> None:
        super().__init__()
        self._torch: Any = None
        self._module: Any = None
        self._where: TorchDevice | None = None
        self._artifact = Artifact()
        self._is_nhwc = self._is_channels_last = False
        self._threads = 0
        # What the image is cast to, and what an exported graph is told to compute in, if not what they are.
        self._cast: Any = None
        self._autocast: Any = None

    def load(self, card: Any, device: str = "auto", threads: int = 0, precision: str = "auto") -> None:
        """See FrameworkBackend. With `compile`, what fails in the first pass is most often the compiler."""
        try:
            super().load(card, device, threads, precision)
        except InferenceError as error:
            if not card.artifact_for(self.name).options.get("compile"):
                raise
            raise ArtifactLoadError(
                f"torch.compile failed: {error}. Install a C++ compiler (sudo apt install g++) and Python's headers "
                "(python3-dev), or set compile=false"
            ) from error

    def _open(self, request: LoadRequest) -> None:
        artifact, options = request.artifact, request.options
        self._torch = torch = import_framework("torch", self.name)
        gpu = choose_device(request.device, torch.cuda.device_count() if torch.cuda.is_available() else 0, self.title)
        self._where = Cpu(torch) if gpu is None else CudaGpu(torch, gpu)
        self._device, self._threads, self._artifact = str(self._where.device), request.threads, artifact
        path = weights_file(artifact, self.name, [*WEIGHTS, *EXPORTED, *TORCHSCRIPT])
        computed = self._computed(path.suffix in WEIGHTS or artifact.precision == "float32")
        precision = check_precision(request.precision, artifact, computed, f"{self.title} on {self._device}")
        self._is_nhwc = request.card.input_for(self.name).layout == "NHWC"
        self._is_channels_last = options.flag("channels_last", self._is_nhwc)
        self._batch = options.integer("batch", 0, 4096) or None
        if path.suffix in TORCHSCRIPT and options.flag("compile", False):
            raise BackendOptionError("option 'compile' of backend 'pytorch' is for .pt2 and .safetensors; remove it")
        module = self._read(path)
        memory_format = torch.channels_last if self._is_channels_last else torch.contiguous_format
        if path.suffix in WEIGHTS:
            module = module.to(memory_format=memory_format)
        self._compute_in(precision, module if path.suffix in WEIGHTS else None)
        self._module = torch.compile(module) if options.flag("compile", False) else module

    def _computed(self, free: bool) -> list[str]:
        """The precisions that the device computes in; a graph that is not `free` keeps the one it was exported in."""
        torch = self._torch
        if not free:
            return []
        if self._device == "cpu":
            fp16 = torch.ops.mkldnn._is_mkldnn_fp16_supported()
            return ["float32", "bfloat16", *(["float16"] if fp16 else [])]
        return ["float32", "float16", *(["bfloat16"] if torch.cuda.is_bf16_supported() else [])]

    def _compute_in(self, precision: str, weights: Any) -> None:
        """Casts a network of Python's once; an exported one has its dtypes in the graph, and is cast on the way.

        What was exported in float16 takes its image in float16; a `.pt2` file says so itself.
        """
        if precision not in HALVES:
            return
        dtype = getattr(self._torch, precision)
        if weights is not None:
            weights.to(dtype)
            self._cast = dtype
        elif precision != self._artifact.precision:
            self._autocast = dtype
        elif self._cast is None:
            self._cast = dtype

    def _read(self, path: Path) -> Any:
        """The network on its device, ready for inference. Raises ArtifactLoadError."""
        assert self._where is not None
        try:
            if path.suffix in EXPORTED:
                return self._read_exported(path)
            if path.suffix in TORCHSCRIPT:
                check_torchscript(self._torch, path)
                return self._torch.jit.load(str(path), map_location=self._where.device).eval()
            return self._read_weights(path)
        except BackendError:
            raise
        except Exception as error:
            raise ArtifactLoadError(
                f"{path} cannot be loaded by PyTorch: {error}. Restore it, or export it again with this PyTorch"
            ) from error

    def _read_weights(self, path: Path) -> Any:
        assert self._where is not None
        torch, artifact = self._torch, self._artifact
        network = import_network(artifact, torch.nn.Module, self.name)
        weights = {name: torch.from_numpy(array) for name, array in read_safetensors(path).items()}
        try:
            module = network()
            module.load_state_dict(weights)  # casts the stored float16 to the parameters' float32
        except Exception as error:
            raise ArtifactLoadError(f"{path} does not fit network '{artifact.network}': {error}") from error
        return module.eval().requires_grad_(False).to(self._where.device)

    def _read_exported(self, path: Path) -> Any:
        assert self._where is not None
        import_framework("torch.export", self.name)
        import_framework("torch._dynamo", self.name)
        self._opens_cyclic()
        check_exported(self._torch, path)
        program = self._torch.export.load(str(path))
        given = [node for node in program.graph.nodes if node.name in program.graph_signature.user_inputs]
        if len(given) != 1:
            raise ArtifactLoadError(f"{path} takes {len(given)} inputs; expected the image alone. Export it again")
        image = given[0].meta["val"]
        self._batch = image.shape[0] if isinstance(image.shape[0], int) else self._batch
        self._cast = image.dtype
        # Guards are Python code from the file; the shapes that they hold to are checked by `infer`.
        return program.module(check_guards=False).to(self._where.device)

    def _forward(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        assert self._where is not None
        torch = self._torch
        # PyTorch keeps the thread count per calling thread, so it is set where the forward pass runs.
        if self._threads and torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            return self._where.run(self._run, tensors[self._inputs[0].name])

    def _run(self, x: Any) -> Mapping[str, Any]:
        """The network over a batch on its device."""
        torch = self._torch
        if self._is_nhwc:
            x = x.permute(0, 3, 1, 2)
        x = x.contiguous(memory_format=torch.channels_last if self._is_channels_last else torch.contiguous_format)
        casting = torch.autocast(x.device.type, self._autocast) if self._autocast else nullcontext()
        with casting:
            outputs = name_outputs(self._module(x.to(self._cast) if self._cast else x), self._outputs, self._artifact)
        dtypes = {spec.name: getattr(torch, spec.dtype) for spec in self._outputs}
        return {name: t.to(dtypes[name]) if t.is_floating_point() else t for name, t in outputs.items()}

    def _release(self) -> None:
        self._module = None
        if self._is_cyclic:
            forget_programs()
        if self._where is not None:
            self._where.release()
