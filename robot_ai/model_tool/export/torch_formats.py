"""PyTorch's side of export: loading modules, torch.export programs, TorchScript, and ONNX both ways."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from robot_ai.backends.support import import_network, read_safetensors
from robot_ai.model_tool.export.errors import ConverterError
from robot_ai.model_tool.export.onnx_formats import OPSET as OLDER_OPSET
from robot_ai.model_tool.export.onnx_formats import OnnxModel, name_batch_axis
from robot_ai.models.card import ModelCard

OPSET = 18  # of ONNX: the newest that ONNX Runtime, OpenVINO and TensorRT of 2024 all read
_MAX_BATCH = 1024
_DECLARED: list[Any] = []  # operators live as long as the library that declares them


@dataclass(frozen=True)
class TorchModel:
    """A module in evaluation mode, from an image (B, 3, H, W) to a tuple in the order of the card's outputs.

    batch: the one that it is fixed to, None where any is taken.
    """

    module: Any
    batch: int | None = None


def load(card: ModelCard, backend: str) -> TorchModel:
    """The module of a card's PyTorch artifact: a network over safetensors, a .pt2 program, or TorchScript."""
    import torch

    artifact = card.artifact_for(backend)
    assert artifact.path is not None
    if artifact.path.suffix == ".safetensors":
        module = import_network(artifact, torch.nn.Module, backend)()
        weights = {name: torch.from_numpy(array) for name, array in read_safetensors(artifact.path).items()}
        module.load_state_dict(weights)
        module.eval()
    elif artifact.path.suffix == ".pt2":
        from robot_ai.backends.torch_archives import check_exported

        check_exported(torch, artifact.path)
        module = torch.export.load(artifact.path).module()
    else:
        from robot_ai.backends.torch_archives import check_torchscript

        check_torchscript(torch, artifact.path)
        module = torch.jit.load(artifact.path, map_location="cpu").eval()
    names = [artifact.own_name(output.name) for output in card.outputs]
    # The backend passes NHWC batches as channels-last views: the module itself always takes NCHW.
    return TorchModel(_listing(module, names))


def from_onnx(model: OnnxModel, card: ModelCard) -> TorchModel:
    """The module that onnx2torch makes of an ONNX file with fixed shapes."""
    import onnx.version_converter

    _import_torchvision()
    import onnx2torch

    content = onnx.load(str(model.path))
    if any(opset.domain in ("", "ai.onnx") and opset.version > OLDER_OPSET for opset in content.opset_import):
        content = onnx.version_converter.convert_version(content, OLDER_OPSET)
    module = onnx2torch.convert(content).eval()
    own = [output.name for output in content.graph.output]
    order = [own.index(model.tensors.get(output.name, output.name)) for output in card.outputs]
    return TorchModel(_listing(module, order, swap=model.layout == "NHWC"), batch=1)


def _import_torchvision() -> None:
    """Imports torchvision, which onnx2torch needs for a network's own non-maximum suppression only.

    PyPI's torchvision is built for CUDA. Beside a PyTorch for the CPU its native operators do not load, and its import
    fails on describing two of them; so those are declared, though they cannot be called.
    """
    import torch

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _DECLARED.append(torch.library.Library("torchvision", "FRAGMENT"))
        for name in ("nms", "qnms"):
            _DECLARED[-1].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        importlib.import_module("torchvision")


def _listing(module: Any, keys: list[Any], swap: bool = False) -> Any:
    """The module with its outputs as a tuple: `keys` are names in its dictionary, or places in its tuple."""
    import torch

    class Listing(torch.nn.Module):
        """Orders the outputs; with `swap` the module inside takes NHWC."""

        def __init__(self) -> None:
            super().__init__()
            self.network = module

        def forward(self, image: Any) -> Any:
            """(B, 3, H, W) to the card's outputs."""
            found = self.network(image.permute(0, 2, 3, 1) if swap else image)
            if isinstance(found, torch.Tensor):
                return (found,)
            if isinstance(found, dict) or all(isinstance(key, int) for key in keys):
                return tuple(found[key] for key in keys)
            return tuple(found)

    listing = Listing()
    for parameter in listing.parameters():
        parameter.requires_grad = False
    listing.training = False  # not `eval`: an exported program's module refuses it, and has no mode to change
    return listing


def example(card: ModelCard, batch: int) -> Any:
    """A batch (B, C, H, W) of images or pillars to trace with."""
    import torch

    given = replace(card.inputs[0], layout="NCHW")
    shape = [batch, *(axis or 1 for axis in given.tensor.shape[1:])]
    return torch.from_numpy(np.zeros(shape, given.dtype))


def to_exported(model: TorchModel, card: ModelCard, path: Path) -> None:
    """Writes a torch.export program with a free batch, or with a batch of one where the network fixes it."""
    import torch

    torch.export.save(_exported(torch, model, card), path)


def _exported(torch: Any, model: TorchModel, card: ModelCard) -> Any:
    """The program with a free batch, or with a batch of one where the network fixes it."""
    batch = torch.export.Dim("batch", min=1, max=_MAX_BATCH)
    try:
        return torch.export.export(model.module, (example(card, 2),), dynamic_shapes=({0: batch},))
    except Exception:  # noqa: BLE001 (what torch.export raises for a network that fixes its batch has no common class)
        return torch.export.export(model.module, (example(card, 1),))


def to_torchscript(model: TorchModel, card: ModelCard, path: Path) -> None:
    """Writes a traced TorchScript file."""
    import torch

    torch.jit.save(_traced(torch, model, card), path)


def _traced(torch: Any, model: TorchModel, card: ModelCard) -> Any:
    with torch.no_grad():
        return torch.jit.trace(model.module, example(card, 1), check_trace=False)


def to_onnx(model: TorchModel, card: ModelCard, path: Path) -> OnnxModel:
    """Writes an ONNX file with the card's names."""
    import torch

    image = card.inputs[0].name
    names = [output.name for output in card.outputs]
    options = {"input_names": [image], "output_names": names, "opset_version": OPSET, "external_data": False}
    if isinstance(model.module.network, torch.jit.ScriptModule):
        # torch.export takes no TorchScript, and the older exporter takes nothing else as well.
        axes = {name: {0: "batch"} for name in (image, *names)}
        torch.onnx.export(model.module, (example(card, 1),), str(path), dynamo=False, dynamic_axes=axes, **options)
    else:
        torch.onnx.export(_exported(torch, model, card), None, str(path), dynamo=True, verbose=False, **options)
    if not path.is_file():
        raise ConverterError("torch.onnx wrote no file")
    name_batch_axis(path)
    return OnnxModel(path, "NCHW", {})
