"""What backends share: frameworks, devices, networks, weights and the checks around a forward pass."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.backends import interpreter
from robot_ai.backends.errors import (
    ArtifactLoadError,
    BackendOptionError,
    DeviceError,
    InferenceError,
    MissingFrameworkError,
    PrecisionError,
)
from robot_ai.backends.protocol import Tensors, TensorSpec
from robot_ai.errors import pip_install
from robot_ai.models.card import Artifact, ModelCard

Forward = Callable[[Tensors], Mapping[str, NDArray[np.generic]]]


def is_importable(module: str) -> bool:
    """Whether a module can be found; it is not imported."""
    try:
        return util.find_spec(module) is not None
    except (ImportError, ValueError):  # an import hook that refuses it, a module without a spec
        return False


def import_framework(module: str, backend: str) -> ModuleType:
    """Imports a framework. Raises MissingFrameworkError, which names the pip extra."""
    is_new = module not in sys.modules
    interpreter.preload(module)
    try:
        found = importlib.import_module(module)
    except (ImportError, OSError) as error:  # OSError: a shared library of PyTorch's that does not load
        if isinstance(error, ModuleNotFoundError) and error.name == module:
            problem = "is not installed"
        else:
            problem = f"is installed but cannot be imported ({error})"
        raise MissingFrameworkError(
            f"backend '{backend}' needs the Python package '{module}', which {problem}. "
            f"Install it with: {pip_install(backend)}"
        ) from error
    if is_new:
        interpreter.imported()
    return found


def parse_device(device: str) -> tuple[str, int | None]:
    """Splits `auto`, `cpu`, `cuda` or `cuda:N` into its kind and its index. Raises DeviceError."""
    match = re.fullmatch(r"(auto|cpu)|(cuda)(?::(\d{1,3}))?", device)
    if match is None:
        raise DeviceError(f"device is '{device}'; expected auto, cpu or cuda:N, such as cuda:0")
    if match[1]:
        return match[1], None
    return "cuda", int(match[3] or 0)


def choose_device(device: str, gpus: int, framework: str) -> int | None:
    """The index of the GPU to use, or None for the CPU, given how many GPUs the framework sees. Raises DeviceError."""
    kind, index = parse_device(device)
    if kind == "cpu" or (kind == "auto" and gpus == 0):
        return None
    index = index or 0
    if index >= gpus:
        there = f"it sees {gpus}, cuda:0 to cuda:{gpus - 1}" if gpus else "it sees none"
        raise DeviceError(
            f"device is '{device}', which {framework} cannot use: {there}. Choose cpu or auto, or install the driver "
            f"and a build of {framework} with CUDA"
        )
    return index


def check_threads(threads: int) -> None:
    """Raises DeviceError for a negative number of threads."""
    if threads < 0:
        raise DeviceError(f"threads is {threads}; expected 0 for the framework's default, or a positive number")


def check_precision(precision: str, artifact: Artifact, computed: Sequence[str], backend: str) -> str:
    """The precision to compute in: the artifact's own for `auto`, else one of `computed`, which the backend can do.

    Raises PrecisionError.
    """
    if precision in ("auto", artifact.precision):
        return artifact.precision
    if precision not in computed:
        choices = ", ".join(dict.fromkeys(["auto", artifact.precision, *computed]))
        raise PrecisionError(
            f"precision is '{precision}', in which {backend} cannot run this artifact; expected one of {choices}. "
            "Choose one of these, or export the model in that precision"
        )
    return precision


def import_network(artifact: Artifact, base: type, backend: str) -> Any:
    """Imports the class that an artifact's `network` names; it must derive from `base`. Raises ArtifactLoadError."""
    reference = artifact.network
    if reference is None:
        raise ArtifactLoadError(
            f"artifact '{backend}' has weights but no 'network'; expected package.module:Class. Add it to the card"
        )
    module, _, name = reference.partition(":")
    try:
        network = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ArtifactLoadError(
            f"artifact '{backend}': network '{reference}' cannot be imported ({error}). Install the package that holds "
            "it or correct the card"
        ) from error
    if not (isinstance(network, type) and issubclass(network, base)):
        raise ArtifactLoadError(
            f"artifact '{backend}': network '{reference}' is {network!r}; expected a subclass of "
            f"{base.__module__}.{base.__qualname__}"
        )
    return network


def weights_file(artifact: Artifact, backend: str, suffixes: Sequence[str]) -> Path:
    """The artifact's file, whose name must end in one of `suffixes`. Raises ArtifactLoadError."""
    if artifact.path is None or artifact.path.suffix not in suffixes:
        raise ArtifactLoadError(
            f"artifact '{backend}' names {artifact.path or 'no file'}; "
            f"this backend loads {' and '.join(suffixes)} files"
        )
    return artifact.path


def weights_path(artifact: Artifact, backend: str, suffixes: Sequence[str]) -> Path:
    """The artifact's directory, or its file as `weights_file` gives it. Raises ArtifactLoadError."""
    if artifact.path is not None and artifact.path.is_dir():
        return artifact.path
    return weights_file(artifact, backend, suffixes)


def refuse_code_of_model(option: str, value: object, folder: Path) -> None:
    """Lets an option name a native library only if it is installed on this machine.

    value: a text, or texts in mappings and lists. folder: the model's. Raises BackendOptionError for a path that is
    relative or leads into the folder: where a framework opens it as a library, the model would have brought code.
    """
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            refuse_code_of_model(option, item, folder)
    elif isinstance(value, str) and "/" in value:
        path = Path(value)
        if not path.is_absolute() or path.resolve().is_relative_to(folder.resolve()):
            raise BackendOptionError(
                f"option '{option}' is {value}; expected what is installed on this machine, by its name or its "
                "absolute path outside the model's directory: a model must not bring code"
            )


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Reads a safetensors file, a format that cannot carry code. Raises ArtifactLoadError."""
    import safetensors.numpy

    try:
        tensors: dict[str, NDArray[Any]] = safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, OSError, TypeError, KeyError) as error:
        raise ArtifactLoadError(f"{path} is not a readable safetensors file: {error}. Restore it") from error
    return tensors


@dataclass(frozen=True)
class TensorNames:
    """The artifact's own names of the network's tensors, by the card's."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


def bind_tensors(
    card: ModelCard, backend: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> TensorNames:
    """Finds the card's tensors among the artifact's own, given as the artifact describes them.

    A tensor is found by the name that the artifact's `tensors` gives it, else by the card's name; a lone input or
    output needs neither. Outputs that the card does not name are left alone. Raises ArtifactLoadError, also for an
    input of another shape than the card's.
    """
    artifact, wanted = card.artifact_for(backend), (card.input_for(backend).tensor,)
    where = f"{artifact.path}: the artifact"
    if strangers := sorted(artifact.tensors.keys() - {spec.name for spec in (*wanted, *card.outputs)}):
        raise ArtifactLoadError(
            f"{where} of backend '{backend}' has {', '.join(strangers)} under 'tensors', which are no inputs or "
            "outputs of the card. Correct the card"
        )
    names = TensorNames(
        _bind("inputs", wanted, inputs, artifact, where), _bind("outputs", card.outputs, outputs, artifact, where)
    )
    if len(inputs) != len(wanted):
        raise ArtifactLoadError(
            f"{where} takes {'; '.join(map(str, inputs))}; the card says {'; '.join(map(str, wanted))}. "
            "Export it with the image as its only input"
        )
    own = {spec.name: spec for spec in inputs}
    for spec in wanted:
        _check_own_input(spec, own[names.inputs[spec.name]], where)
    return names


def _bind(
    kind: str, wanted: Sequence[TensorSpec], own: Sequence[TensorSpec], artifact: Artifact, where: str
) -> dict[str, str]:
    there = [spec.name for spec in own]
    if len(wanted) == len(own) == 1 and wanted[0].name not in artifact.tensors:
        return {wanted[0].name: there[0]}
    names = {spec.name: artifact.own_name(spec.name) for spec in wanted}
    if missing := [name for name in names.values() if name not in there]:
        raise ArtifactLoadError(
            f"{where} has no {', '.join(missing)} among its {kind}, which are {'; '.join(map(str, own))}. "
            "Give the artifact's own names, by the card's, under 'tensors' in the card"
        )
    return names


def _check_own_input(spec: TensorSpec, own: TensorSpec, where: str) -> None:
    """Compares an input as the artifact describes it with the card's; the batch is free, and so is the bit width."""
    fits = len(own.shape) == len(spec.shape) and all(
        want is None or have in (None, want) for have, want in zip(own.shape, spec.shape, strict=True)
    )
    if not fits:
        raise ArtifactLoadError(
            f"{where} takes {own}; the card says {spec}. Correct 'inputs', or the artifact's 'layout'"
        )


def fed_as(spec: TensorSpec, own: TensorSpec, artifact: Artifact) -> np.dtype[Any]:
    """The dtype in which an artifact takes the card's input. Raises ArtifactLoadError unless both are of one kind."""
    dtype = np.dtype(own.dtype)
    if dtype.kind != np.dtype(spec.dtype).kind:
        raise ArtifactLoadError(f"{artifact.path} takes {own}; the card says {spec}. Correct 'inputs'")
    return dtype


def name_outputs(found: Any, specs: Sequence[TensorSpec], artifact: Artifact) -> dict[str, Any]:
    """Names what a network of Python's gives: a mapping by its keys, tensors alone by their place, from "0".

    Tensors alone that the artifact's `tensors` does not name are taken in the card's order. Raises ArtifactLoadError.
    """
    if isinstance(found, Mapping):
        own = dict(found)
    else:
        own = {str(place): tensor for place, tensor in enumerate(flat(found))}
        if not any(spec.name in artifact.tensors for spec in specs) and len(own) == len(specs):
            return dict(zip((spec.name for spec in specs), own.values(), strict=True))
    names = {spec.name: artifact.own_name(spec.name) for spec in specs}
    if missing := [name for name in names.values() if name not in own]:
        given = "; ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in own.items())
        raise ArtifactLoadError(
            f"{artifact.path}: the network gives {given}; {', '.join(missing)} is missing. The card says "
            f"{'; '.join(map(str, specs))}. Correct 'outputs', or give the network's own names under 'tensors'"
        )
    return {name: own[given] for name, given in names.items()}


def flat(found: Any) -> Iterator[Any]:
    """The tensors of lists and tuples, however nested, in order."""
    if isinstance(found, list | tuple):
        for item in found:
            yield from flat(item)
    else:
        yield found


def in_chunks(forward: Forward, tensors: Tensors, size: int | None) -> Mapping[str, NDArray[np.generic]]:
    """Runs a batch of any size through a network whose batch is fixed to `size` (None: it is free).

    The last piece is filled up with zeros, whose outputs are dropped. `forward` must not reuse the arrays it gives.
    """
    count = len(next(iter(tensors.values())))
    if size in (None, count):
        return forward(tensors)
    pieces = [forward(piece) for piece in _pieces(tensors, count, size or 1)]
    return {name: np.concatenate([piece[name] for piece in pieces])[:count] for name in pieces[0]}


def _pieces(tensors: Tensors, count: int, size: int) -> Iterator[Tensors]:
    for start in range(0, count, size):
        piece = {name: array[start : start + size] for name, array in tensors.items()}
        missing = size - min(size, count - start)
        if missing:
            piece = {
                name: np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
                for name, array in piece.items()
            }
        yield piece


def like_the_card(
    specs: Sequence[TensorSpec], outputs: Mapping[str, NDArray[np.generic]]
) -> dict[str, NDArray[np.generic]]:
    """The outputs in the card's dtypes, where only the bit width differs: float16 to float32, int64 to int32."""
    dtypes = {spec.name: np.dtype(spec.dtype) for spec in specs}
    return {
        name: array.astype(dtypes[name], copy=False)
        if name in dtypes and _is_float(array.dtype) == _is_float(dtypes[name])
        else array
        for name, array in outputs.items()
    }


def _is_float(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f"


def check_inputs(specs: Sequence[TensorSpec], tensors: Tensors) -> int:
    """Compares input arrays with what the network expects and returns the batch size. Raises InferenceError."""
    if tensors.keys() != {spec.name for spec in specs}:
        raise InferenceError(
            f"inputs are {sorted(tensors)}; expected {', '.join(str(spec) for spec in specs)}. Give every input by name"
        )
    batches = set()
    for spec in specs:
        array = tensors[spec.name]
        if not isinstance(array, np.ndarray) or not _fits(array, spec):
            raise InferenceError(
                f"input '{spec.name}' is {_describe(array)}; expected {spec}, with a batch of 1 or more"
            )
        batches.add(len(array))
    if len(batches) != 1:
        raise InferenceError(f"inputs have batches of {sorted(batches)}; expected one size")
    return int(batches.pop())


def check_outputs(specs: Sequence[TensorSpec], outputs: Mapping[str, NDArray[Any]], where: str) -> None:
    """Compares the network's outputs with the card's. Raises ArtifactLoadError, which shows both."""
    if all(spec.name in outputs and _fits(outputs[spec.name], spec) for spec in specs):
        return
    given = "; ".join(f"{name} {_describe(array)}" for name, array in outputs.items())
    raise ArtifactLoadError(
        f"{where}: the network gives {given}; the card says {'; '.join(str(spec) for spec in specs)}. Correct 'outputs'"
    )


def _fits(array: NDArray[Any], spec: TensorSpec) -> bool:
    if not spec.shape:  # its name is all that is known
        return True
    return (
        array.dtype == spec.dtype
        and array.ndim == len(spec.shape)
        and len(array) > 0
        and all(want is None or have == want for have, want in zip(array.shape, spec.shape, strict=True))
    )


def _describe(value: object) -> str:
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"


def zeros_for(specs: Sequence[TensorSpec]) -> dict[str, NDArray[np.generic]]:
    """A batch of one, all zeros, for each input: for a first forward pass."""
    return {spec.name: np.zeros([axis or 1 for axis in spec.shape], spec.dtype) for spec in specs}
