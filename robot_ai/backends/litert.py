"""LiteRT: `.tflite` files, as TensorFlow Lite runs them on robots.

A batch is run item by item, also where the file leaves the batch free: the interpreter plans its memory anew for every
change of size, and on a CPU a batch saves nothing.
"""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends.base import FrameworkBackend, LoadRequest
from robot_ai.backends.errors import ArtifactLoadError, DeviceError
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.backends.support import (
    bind_tensors,
    check_precision,
    import_framework,
    is_importable,
    parse_device,
    refuse_code_of_model,
    weights_file,
)

Convert = Callable[[NDArray[Any]], NDArray[Any]]

OPTIONS = {
    "xnnpack": "whether XNNPACK runs the float operations, and int8 ones where it can (true)",
    "delegate": "an external delegate's library, such as libedgetpu.so.1, installed on this machine (none)",
    "delegate_options": "options of the delegate, such as {device: usb} (none)",
}

DETECTION = "TFLite_Detection_PostProcess"


class LiteRTBackend(FrameworkBackend):
    """Runs a `.tflite` file on the CPU or an external delegate.

    Integer inputs and outputs are converted by the file's own scale and zero point, so that `infer` speaks the card's
    dtypes. Tensors are named as in the file's signature, or as in its graph when it has no signature.
    """

    name = "litert"
    title = "LiteRT"
    # ARM robots often have the older package, with the same interface.
    framework = ("ai_edge_litert", "tflite_runtime")
    known = OPTIONS

    def __init__(self) -> None:
        super().__init__()
        self._interpreter: Any = None
        self._detected: tuple[int, ...] = ()
        self._feeds: dict[str, tuple[int, Convert]] = {}
        self._fetches: dict[str, tuple[int, Convert]] = {}

    def _open(self, request: LoadRequest) -> None:
        artifact, options = request.artifact, request.options
        check_precision(request.precision, artifact, (), self.title)
        runtime = _import_runtime()
        if parse_device(request.device)[0] == "cuda":
            raise DeviceError(
                f"device is '{request.device}', which LiteRT cannot use: it sees none. Choose cpu or auto; other "
                "processors are reached by the option 'delegate'"
            )
        path = weights_file(artifact, self.name, [".tflite"])
        xnnpack = options.flag("xnnpack", True)
        library, delegate_options = options.text("delegate"), options.mapping("delegate_options")
        delegates = [_load_delegate(runtime, library, delegate_options, request.card.directory)] if library else None
        resolver = runtime.OpResolverType.AUTO if xnnpack else runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        self._device = Path(library).name if library else "cpu"
        try:
            self._interpreter = runtime.Interpreter(
                model_path=str(path),
                num_threads=request.threads or None,
                experimental_delegates=delegates,
                experimental_op_resolver_type=resolver,
            )
            self._interpreter.allocate_tensors()
            inputs, outputs = named_details(self._interpreter)
        except Exception as error:
            # A delegate that does not take the graph is an error without a word.
            reason = str(error) or "it gives no reason; it may not take tensors of a free size"
            raise ArtifactLoadError(
                f"{path} cannot be loaded by LiteRT on {self._device}: {reason}. Restore it, or export it again with "
                "built-in operations and a batch of one"
            ) from error
        self._bind(request, inputs, outputs)

    def _bind(self, request: LoadRequest, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        names = bind_tensors(request.card, self.name, _specs(inputs), _specs(outputs))
        self._feeds = {
            spec.name: (detail["index"], _to_own(spec, detail))
            for spec in self._inputs
            for detail in [inputs[names.inputs[spec.name]]]
        }
        self._fetches = {
            spec.name: (detail["index"], _from_own(spec, detail))
            for spec in self._outputs
            for detail in [outputs[names.outputs[spec.name]]]
        }
        self._batch = int(inputs[names.inputs[self._inputs[0].name]]["shape"][0])
        self._detected = detection_outputs(self._interpreter)

    def _forward(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        for name, (index, convert) in self._feeds.items():
            self._interpreter.set_tensor(index, convert(tensors[name]))
        self._interpreter.invoke()
        return {name: convert(self._read(index)) for name, (index, convert) in self._fetches.items()}

    def _read(self, index: int) -> NDArray[Any]:
        array: NDArray[Any] = self._interpreter.get_tensor(index)
        if index in self._detected[:-1]:
            # Behind its count the detection operator leaves what lay in memory, NaN among it.
            array[:, max(0, int(self._interpreter.get_tensor(self._detected[-1])[0])) :] = 0
        return array

    def _release(self) -> None:
        self._interpreter = None


def detection_outputs(interpreter: Any) -> tuple[int, ...]:
    """The tensors that TFLite's detection operator makes, if the file has one: boxes, classes, scores, count."""
    # Private, and so perhaps missing in other releases.
    operators: list[Any] = getattr(interpreter, "_get_ops_details", list)()
    made = next((operator["outputs"] for operator in operators if operator["op_name"] == DETECTION), ())
    return tuple(int(index) for index in made)


def _import_runtime() -> Any:
    """The interpreter's module, of the package that is installed."""
    packages = LiteRTBackend.framework
    package = next(filter(is_importable, packages), packages[0])
    import_framework(package, LiteRTBackend.name)
    return importlib.import_module(f"{package}.interpreter")


def _load_delegate(runtime: Any, library: str, options: Mapping[str, Any], card: Path) -> Any:
    """Loads a delegate, which is native code: one that came with the model is refused."""
    refuse_code_of_model("delegate", library, card)
    refuse_code_of_model("delegate_options", options, card)
    try:
        # First by itself: the runtime prints a traceback of its own when any of these fails.
        plugin = ctypes.CDLL(library)
        for function in ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate"):
            getattr(plugin, function)
        return runtime.load_delegate(library, dict(options))
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise DeviceError(
            f"delegate {library} cannot be loaded: {reason}. Install it, connect its device, or remove the option "
            "'delegate' to run on the CPU"
        ) from error


def named_details(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The inputs and the outputs, as the interpreter describes them, by name in the only signature, else the graph."""
    signatures = list(interpreter.get_signature_list())
    if len(signatures) == 1:
        runner = interpreter.get_signature_runner(signatures[0])
        return dict(runner.get_input_details()), dict(runner.get_output_details())
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    return {detail["name"]: detail for detail in inputs}, {detail["name"]: detail for detail in outputs}


def _specs(details: Mapping[str, Any]) -> list[TensorSpec]:
    return [
        TensorSpec(name, tuple(int(axis) for axis in detail["shape"]), np.dtype(detail["dtype"]).name)
        for name, detail in details.items()
    ]


def _quantization(detail: Any) -> tuple[np.float32, float] | None:
    """Scale and zero point of an integer tensor; None when it holds plain numbers."""
    parameters = detail["quantization_parameters"]
    if np.dtype(detail["dtype"]).kind == "f" or not len(parameters["scales"]):
        return None
    return np.float32(parameters["scales"][0]), float(parameters["zero_points"][0])


def _to_own(spec: TensorSpec, detail: Any) -> Convert:
    """Turns an array of the card's dtype into what the file takes."""
    own, quantization = np.dtype(detail["dtype"]), _quantization(detail)
    if own == spec.dtype:
        return np.ascontiguousarray
    if own.kind == "f":
        return lambda array: array.astype(own)
    if quantization is None:
        raise ArtifactLoadError(
            f"input '{spec.name}' is {own.name} without a scale; the card says {spec.dtype}. Correct 'inputs'"
        )
    scale, zero = quantization
    lowest, highest = np.iinfo(own).min, np.iinfo(own).max

    def quantize(array: NDArray[Any]) -> NDArray[Any]:
        values = np.divide(array, scale, dtype=np.float32)
        np.rint(values, out=values)
        values += np.float32(zero)
        np.clip(values, lowest, highest, out=values)
        return values.astype(own)

    return quantize


def _from_own(spec: TensorSpec, detail: Any) -> Convert:
    """Turns what the file gives into the real values; their bit width is left to the caller."""
    quantization = _quantization(detail)
    if quantization is None or np.dtype(detail["dtype"]) == spec.dtype:
        return np.asarray
    scale, zero = quantization

    def dequantize(array: NDArray[Any]) -> NDArray[Any]:
        return (array.astype(np.float32) - np.float32(zero)) * scale

    return dequantize
