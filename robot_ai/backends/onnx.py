"""ONNX Runtime: `.onnx` files."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.base import FrameworkBackend, LoadRequest
from robot_ai.backends.errors import ArtifactLoadError, BackendOptionError, DeviceError
from robot_ai.backends.onnx_file import onnx_file
from robot_ai.backends.options import Options
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.support import (
    bind_tensors,
    check_precision,
    choose_device,
    fed_as,
    import_framework,
    refuse_code_of_model,
    weights_path,
)

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
# Providers that compute on a CUDA device and take its number.
ON_CUDA = (CUDA, "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider")
OPTIMIZATIONS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}

OPTIONS = {
    "providers": "execution providers, the preferred one first (what the device asks for, then the CPU)",
    "provider_options": "options by provider, such as {TensorrtExecutionProvider: {trt_fp16_enable: true}} (none)",
    "optimization": f"of the graph: {', '.join(OPTIMIZATIONS)} (all)",
}


class OnnxBackend(FrameworkBackend):
    """Runs an ONNX model on the execution providers that the device or the option `providers` asks for.

    Inputs and outputs are bound: on a GPU the outputs stay there until all of them are copied at once.
    """

    name = "onnx"
    title = "ONNX Runtime"
    framework = "onnxruntime"
    known = OPTIONS

    def __init__(self) -> None:
        super().__init__()
        self._session: Any = None
        self._binding: Any = None
        self._feeds: dict[str, tuple[str, Any]] = {}
        self._fetches: dict[str, str] = {}

    def _open(self, request: LoadRequest) -> None:
        check_precision(request.precision, request.artifact, (), self.title)
        ort = import_framework("onnxruntime", self.name)
        path = onnx_file(weights_path(request.artifact, self.name, [".onnx"]))
        providers = _providers(ort, request)
        optimization = request.options.choice("optimization", list(OPTIMIZATIONS), "all")
        settings = ort.SessionOptions()
        settings.intra_op_num_threads = request.threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3  # errors
        settings.graph_optimization_level = getattr(ort.GraphOptimizationLevel, OPTIMIZATIONS[optimization])
        try:
            # Without fallback: it would take the CPU in silence.
            session = ort.InferenceSession(
                str(path), settings, providers=list(providers), provider_options=list(providers.values()),
                enable_fallback=0,
            )  # fmt: skip
        except Exception as error:
            raise ArtifactLoadError(
                f"{path} cannot be loaded by ONNX Runtime on {', '.join(providers)}: {error}. "
                "Restore it, or export it again"
            ) from error
        self._session = session
        self._device = _device(session, next(iter(providers)), request)
        self._bind(request, session)

    def _bind(self, request: LoadRequest, session: Any) -> None:
        own_inputs, own_outputs = _specs(session.get_inputs()), _specs(session.get_outputs())
        names = bind_tensors(request.card, self.name, own_inputs, own_outputs)
        own = {spec.name: spec for spec in own_inputs}
        for spec in self._inputs:
            taken = own[names.inputs[spec.name]]
            self._feeds[spec.name] = (taken.name, fed_as(spec, taken, request.artifact))
            self._batch = taken.shape[0]
        self._fetches = dict(names.outputs)
        self._binding = session.io_binding()

    def _forward(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        binding = self._binding
        binding.clear_binding_inputs()
        binding.clear_binding_outputs()
        # The binding does not keep the arrays alive.
        held = []
        for name, (own, dtype) in self._feeds.items():
            held.append(np.ascontiguousarray(tensors[name], dtype))
            binding.bind_cpu_input(own, held[-1])
        for own in self._fetches.values():
            binding.bind_output(own)  # in memory that is allocated for this pass, and given away with the array
        self._session.run_with_iobinding(binding)
        return dict(zip(self._fetches, binding.copy_outputs_to_cpu(), strict=True))

    def _release(self) -> None:
        self._binding = self._session = None


def _providers(ort: Any, request: LoadRequest) -> dict[str, dict[str, Any]]:
    """The execution providers in order, with their options. Raises DeviceError or BackendOptionError."""
    there = ort.get_available_providers()
    # The number of GPUs is not told; a number that is too large is refused when the session is made.
    gpu = choose_device(request.device, 1000 if CUDA in there else 0, "ONNX Runtime")
    given: Options = request.options
    wanted = given.texts("providers") or ([CPU] if gpu is None else [CUDA, CPU])
    settings = given.mapping("provider_options")
    refuse_code_of_model("provider_options", settings, request.card.directory)
    if unknown := [name for name in wanted if name not in there]:
        raise BackendOptionError(
            f"option 'providers' of backend 'onnx' names {', '.join(unknown)}; this ONNX Runtime has "
            f"{', '.join(there)}. Choose among these, or install the package of ONNX Runtime that has it"
        )
    if strangers := sorted(settings.keys() - set(wanted)):
        raise BackendOptionError(
            f"option 'provider_options' of backend 'onnx' names {', '.join(strangers)}; the providers used are "
            f"{', '.join(wanted)}. Add it to 'providers', or remove its options"
        )
    providers: dict[str, dict[str, Any]] = {}
    for name in wanted:
        number = {"device_id": gpu or 0} if name in ON_CUDA else {}
        providers[name] = {key: str(value) for key, value in {**number, **(settings.get(name) or {})}.items()}
    return providers


def _device(session: Any, wanted: str, request: LoadRequest) -> str:
    """The device that the session really uses. Raises DeviceError when it is not the one asked for."""
    used = session.get_providers()[0]
    if used != wanted and request.device not in ("auto", "cpu"):
        raise DeviceError(
            f"device is '{request.device}', but ONNX Runtime could not use {wanted} and would use {used}. "
            "Install the driver and the libraries that this provider needs, or choose cpu"
        )
    if used in ON_CUDA:
        return f"cuda:{session.get_provider_options()[used].get('device_id', 0)}"
    return "cpu" if used == CPU else used.removesuffix("ExecutionProvider").lower()


def _specs(nodes: Any) -> list[TensorSpec]:
    """Describes inputs or outputs; an axis with a name, or without, is free."""
    return [
        TensorSpec(node.name, tuple(axis if isinstance(axis, int) else None for axis in node.shape), _dtype(node.type))
        for node in nodes
    ]


def _dtype(kind: str) -> str:
    """NumPy's name of a type such as `tensor(float)`."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)
