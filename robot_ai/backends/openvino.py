"""OpenVINO: its own IR, or ONNX files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.base import FrameworkBackend, LoadRequest
from robot_ai.backends.errors import ArtifactLoadError, DeviceError
from robot_ai.backends.onnx_file import onnx_file
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.support import (
    bind_tensors,
    check_precision,
    fed_as,
    import_framework,
    parse_device,
    weights_path,
)

# What a device must be able to do, by precision, and the hint for it.
CAPABILITIES = {"float32": "FP32", "float16": "FP16", "bfloat16": "BF16"}
HINTS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}

OPTIONS = {
    "device": "a device of OpenVINO's: CPU, GPU, GPU.1, NPU, AUTO (CPU)",
    "cache_dir": "directory in which compiled models are kept, for a faster start (none)",
}


class OpenVINOBackend(FrameworkBackend):
    """Compiles an ONNX file, or a directory with an IR (`.xml` and `.bin`), for one of OpenVINO's devices."""

    name = "openvino"
    title = "OpenVINO"
    framework = "openvino"
    known = OPTIONS

    def __init__(self) -> None:
        super().__init__()
        self._compiled: Any = None
        self._request: Any = None
        self._feeds: dict[str, tuple[int, Any]] = {}
        self._fetches: dict[str, int] = {}

    def _open(self, request: LoadRequest) -> None:
        ov = import_framework("openvino", self.name)
        if parse_device(request.device)[0] == "cuda":
            raise DeviceError(
                f"device is '{request.device}', which OpenVINO cannot use: it sees none of NVIDIA's GPUs. "
                "Choose cpu or auto; an Intel GPU or NPU is reached by the option 'device'"
            )
        path = _model_file(weights_path(request.artifact, self.name, [".xml", ".onnx"]))
        core = ov.Core()
        device = request.options.text("device", "CPU")
        settings = self._settings(core, device, request)
        try:
            model = core.read_model(path)
            self._bind(request, model)
            self._compiled = core.compile_model(model, device, settings)
            self._request = self._compiled.create_infer_request()
        except (RuntimeError, ValueError, TypeError) as error:
            raise ArtifactLoadError(
                f"{path} cannot be loaded by OpenVINO on {device}: {error}. Restore it, or export it again"
            ) from error
        self._device = device.lower()

    def _settings(self, core: Any, device: str, request: LoadRequest) -> dict[str, Any]:
        """The properties to compile with. Raises DeviceError or PrecisionError."""
        try:
            can = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
        except RuntimeError as error:
            raise DeviceError(
                f"option 'device' of backend 'openvino' is {device}, which OpenVINO does not find; it finds "
                f"{', '.join(core.available_devices)}. Choose one of these, or install the device's driver"
            ) from error
        computed = [precision for precision, capability in CAPABILITIES.items() if capability in can]
        precision = check_precision(request.precision, request.artifact, computed, f"OpenVINO on {device}")
        # Without a hint OpenVINO computes in bfloat16 or float16 where the device is faster in it. An artifact stored
        # in a precision that the device lacks is computed in float32, which contains it.
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": HINTS[precision if precision in computed else "float32"],
        }
        if device == "CPU" and request.threads:
            settings["INFERENCE_NUM_THREADS"] = request.threads
        if cache := request.options.text("cache_dir"):
            settings["CACHE_DIR"] = cache
        return settings

    def _bind(self, request: LoadRequest, model: Any) -> None:
        own_inputs, own_outputs = _specs(model.inputs), _specs(model.outputs)
        names = bind_tensors(request.card, self.name, own_inputs, own_outputs)
        for spec in self._inputs:
            index = [own.name for own in own_inputs].index(names.inputs[spec.name])
            taken = own_inputs[index]
            self._feeds[spec.name] = (index, fed_as(spec, taken, request.artifact))
            self._batch = taken.shape[0]
        places = {own.name: index for index, own in enumerate(own_outputs)}
        self._fetches = {name: places[own] for name, own in names.outputs.items()}

    def _forward(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        feeds = {index: np.ascontiguousarray(tensors[name], dtype) for name, (index, dtype) in self._feeds.items()}
        self._request.infer(feeds, share_inputs=True)
        # The request's own memory is written again by the next pass.
        return {name: self._request.get_output_tensor(index).data.copy() for name, index in self._fetches.items()}

    def _release(self) -> None:
        self._request = self._compiled = None


def _model_file(path: Path) -> Path:
    """The file to read: an ONNX model, or the IR of a directory. Raises ArtifactLoadError."""
    if path.is_dir():
        files = sorted(path.glob("*.xml"))
        if len(files) > 1:
            raise ArtifactLoadError(f"{path} holds {', '.join(file.name for file in files)}; expected one .xml file")
        return files[0] if files else onnx_file(path)
    if path.suffix == ".xml":
        raise ArtifactLoadError(
            f"{path} is an IR without its directory; expected a directory with the .xml and the .bin file, so that the "
            "checksum covers both. Put the two into a directory and name that as 'path'"
        )
    return onnx_file(path)


def _specs(ports: Any) -> list[TensorSpec]:
    """Describes inputs or outputs, one without a name by its node."""
    return [
        TensorSpec(
            port.get_any_name() if port.names else port.node.friendly_name,
            tuple(None if axis.is_dynamic else axis.get_length() for axis in port.partial_shape),
            np.dtype(port.element_type.to_dtype()).name,
        )
        for port in ports
    ]
