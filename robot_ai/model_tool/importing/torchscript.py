"""The outputs of a TorchScript file, which it does not describe: found by running it once on zeros."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from robot_ai.backends.support import flat, import_framework
from robot_ai.backends.torch_archives import check_torchscript
from robot_ai.model_tool.inspection.errors import UnreadableModelError
from robot_ai.model_tool.inspection.types import Inspection, TensorInfo


def with_outputs(inspection: Inspection, height: int, width: int) -> Inspection:
    """The inspection with inputs and outputs, named as the backend names them: by key, else by place, from "0".

    The file is checked for code that is no network's first. Raises MissingFrameworkError, ArtifactLoadError or
    UnreadableModelError.
    """
    torch = import_framework("torch", "pytorch")
    check_torchscript(torch, inspection.path)
    try:
        module = torch.jit.load(str(inspection.path), map_location="cpu").eval()
        with torch.inference_mode():
            found = module(torch.zeros(1, 3, height, width))
    except Exception as error:
        raise UnreadableModelError(
            f"{inspection.path} fails on an image of {width}x{height} pixels: {str(error).strip().splitlines()[-1]}. "
            "Give the --size that it was exported for"
        ) from error
    named = found if isinstance(found, Mapping) else {str(place): item for place, item in enumerate(flat(found))}
    outputs = [_tensor(str(name), tensor) for name, tensor in named.items()]
    image = TensorInfo("images", (None, 3, height, width), "float32")
    # Tracing may have fixed the batch, which the file does not tell: one item at a time is always right.
    return replace(inspection, inputs=(image,), outputs=tuple(outputs), options={"batch": 1})


def _tensor(name: str, tensor: Any) -> TensorInfo:
    return TensorInfo(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
