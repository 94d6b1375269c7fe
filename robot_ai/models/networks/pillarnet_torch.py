"""PillarNet in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from robot_ai.models.networks import pillarnet_plan as plan
from robot_ai.models.networks.convolution import Conv


class PillarNet(nn.Module):
    """PillarNet for person, cyclist and vehicle; 0.46 million parameters, named as in pillarnet.safetensors."""

    def __init__(self) -> None:
        super().__init__()
        for conv in plan.convolutions():
            layer = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel, conv.stride, conv.kernel // 2)
            self.add_module(conv.name, layer)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Runs the network.

        x: (B, 15, H, W) float32, pillars; H and W multiples of 8. Returns, for N = (H / 2) * (W / 2) cells in row-major
        order, `scores` (B, N, 3) after the sigmoid and `boxes` (B, N, 8), whose columns `plan.BOX` describes.
        """
        cells = self.predict_cells(x).flatten(2).transpose(1, 2)
        return {"scores": cells[..., : plan.CLASSES].sigmoid(), "boxes": cells[..., plan.CLASSES :]}

    def predict_cells(self, x: Tensor) -> Tensor:
        """(B, 15, H, W) to (B, 11, H / 2, W / 2): logits of the classes, then the box."""
        fine = self._run(plan.FINE, x)
        middle = self._run(plan.MIDDLE, fine)
        coarse = self._run(plan.COARSE, middle)
        middle = self._run([plan.MIX_MIDDLE], middle + _double(self.get_submodule(plan.REDUCE_COARSE.name)(coarse)))
        fine = self._run([plan.MIX_FINE], fine + _double(self.get_submodule(plan.REDUCE_MIDDLE.name)(middle)))
        result: Tensor = self.get_submodule(plan.PREDICT.name)(fine)
        return result

    def _run(self, convs: Sequence[Conv], x: Tensor) -> Tensor:
        for conv in convs:
            x = self._activate(conv, self.get_submodule(conv.name)(x))
        return x

    def _activate(self, conv: Conv, x: Tensor) -> Tensor:
        return functional.relu_(x)


class NormalizedPillarNet(PillarNet):
    """For training: batch normalization before each rectifier. `folded` gives the weights of a plain PillarNet."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleDict({conv.name: nn.BatchNorm2d(conv.out_channels) for conv in plan.activated()})

    def _activate(self, conv: Conv, x: Tensor) -> Tensor:
        return functional.relu_(self.norms[conv.name](x))

    def folded(self) -> dict[str, Tensor]:
        """The normalization's running mean and scale, put into the weights and biases (float32)."""
        weights = {name: t.detach().clone() for name, t in self.state_dict().items() if not name.startswith("norms.")}
        for name, norm in self.norms.items():
            assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
            scale = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
            weights[f"{name}.weight"] *= scale[:, None, None, None]
            bias = weights[f"{name}.bias"] - norm.running_mean
            weights[f"{name}.bias"] = bias * scale + norm.bias.detach()
        return weights


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")
