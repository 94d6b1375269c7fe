"""NanoDet-g in PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from robot_ai.models.networks import nanodet_plan as plan
from robot_ai.models.networks.convolution import Conv


def _conv(spec: Conv) -> nn.Conv2d:
    return nn.Conv2d(spec.in_channels, spec.out_channels, spec.kernel, spec.stride, spec.kernel // 2)


def _activate(x: Tensor) -> Tensor:
    # In place: the convolution's output is used nowhere else, and memory traffic is what an activation costs.
    return functional.leaky_relu_(x, plan.LEAKY_SLOPE)


class _Block(nn.Module):
    """Halves the channels, mixes them, and joins both, newest first."""

    def __init__(self, reduce: Conv, mix: Conv) -> None:
        super().__init__()
        self.reduce = _conv(reduce)
        self.mix = _conv(mix)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H, W)."""
        reduced = _activate(self.reduce(x))
        return torch.cat((_activate(self.mix(reduced)), reduced), dim=1)


class _Stage(nn.Module):
    """One CSP stage."""

    def __init__(self, stage: plan.Stage) -> None:
        super().__init__()
        self.entry = _conv(stage.entry)
        self.blocks = nn.Sequential(*(_Block(reduce, mix) for reduce, mix in stage.blocks))
        self.exit = _conv(stage.exit)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2 C, H / stride, W / stride)."""
        entry = _activate(self.entry(x))
        return torch.cat((_activate(self.exit(self.blocks(entry))), entry), dim=1)


class _Backbone(nn.Module):
    """Stem, pooling and the CSP stages."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(plan.STEM)
        self.stages = nn.ModuleList(_Stage(stage) for stage in plan.STAGES)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one feature map per stride."""
        x = functional.max_pool2d(_activate(self.stem(x)), kernel_size=3, stride=2, padding=1)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features[-len(plan.STRIDES) :]


class _Neck(nn.Module):
    """Adds coarse features to fine ones, then fine ones to coarse ones."""

    def __init__(self) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(_conv(spec) for spec in plan.LATERALS)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Feature maps from fine to coarse, to as many with NECK_CHANNELS channels."""
        levels = [lateral(x) for lateral, x in zip(self.laterals, features, strict=True)]
        for n in range(len(levels) - 1, 0, -1):
            levels[n - 1] = levels[n - 1] + functional.interpolate(
                levels[n], size=levels[n - 1].shape[2:], mode="bilinear", align_corners=False
            )
        for n in range(len(levels) - 1):
            # Halving bilinearly without antialiasing samples the middle of each 2x2 block: its average.
            levels[n + 1] = levels[n + 1] + functional.avg_pool2d(levels[n], 2)
        return levels


class _Head(nn.Module):
    """Predicts class scores and distance distributions for each cell of each level."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleList(_conv(features) for features, _ in plan.HEADS)
        self.predictions = nn.ModuleList(_conv(prediction) for _, prediction in plan.HEADS)

    def forward(self, levels: list[Tensor]) -> dict[str, Tensor]:
        """Feature maps to the outputs that `plan.output_names` lists."""
        outputs = {}
        for x, features, prediction, stride in zip(levels, self.features, self.predictions, plan.STRIDES, strict=True):
            cells = prediction(_activate(features(x))).flatten(2).transpose(1, 2)
            outputs[f"scores_{stride}"] = cells[..., : plan.NUM_CLASSES].sigmoid()
            outputs[f"distances_{stride}"] = cells[..., plan.NUM_CLASSES :]
        return outputs


class NanoDetG(nn.Module):
    """NanoDet-g for COCO's 80 classes; about 3.8 million parameters, named as in nanodet_g.safetensors."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _Backbone()
        self.neck = _Neck()
        self.head = _Head()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Runs the network.

        x: (B, 3, H, W) float32, BGR, normalized; H and W multiples of 32. Returns, for each stride S in 8, 16, 32,
        `scores_S` (B, N, 80) after the sigmoid and `distances_S` (B, N, 44), logits of 4 sides x 11 bins, with
        N = (H / S) * (W / S) cells in row-major order.
        """
        outputs: dict[str, Tensor] = self.head(self.neck(self.backbone(x)))
        return outputs
