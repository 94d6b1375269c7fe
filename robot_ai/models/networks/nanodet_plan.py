"""NanoDet-g's architecture as numbers, shared by every framework and by the weight converter.

Backbone: a CSP network (Wang et al., 2019, arXiv:1911.11929) of plain convolutions; neck: a path aggregation network
(Liu et al., 2018, arXiv:1803.01534) without convolutions of its own after the laterals; head: one 3x3 convolution and
one 1x1 prediction per stride, giving class scores and distance distributions (arXiv:2006.04388). Batch normalization is
folded into the convolutions. Upstream: https://github.com/RangiLyu/nanodet, configuration nanodet-g.
"""

from __future__ import annotations

from dataclasses import dataclass

from robot_ai.models.networks.convolution import Conv

STEM_CHANNELS = 32
NECK_CHANNELS = 128
NUM_CLASSES = 80
BINS = 11  # per side of the box
STRIDES = (8, 16, 32)
LEAKY_SLOPE = 0.1


@dataclass(frozen=True)
class Stage:
    """One CSP stage: `entry`, then `blocks` of (reduce, mix), then `exit`; its output joins that of exit and entry."""

    entry: Conv
    blocks: tuple[tuple[Conv, Conv], ...]
    exit: Conv

    @property
    def out_channels(self) -> int:
        """The channels of the stage's output."""
        return self.exit.out_channels + self.entry.out_channels


def _stage(index: int, channels: int, blocks: int, stride: int) -> Stage:
    name, half = f"backbone.stages.{index}", channels // 2
    return Stage(
        Conv(f"{name}.entry", channels, channels, stride=stride),
        tuple(
            (Conv(f"{name}.blocks.{n}.reduce", channels, half), Conv(f"{name}.blocks.{n}.mix", half, half))
            for n in range(blocks)
        ),
        Conv(f"{name}.exit", channels, channels),
    )


STEM = Conv("backbone.stem", 3, STEM_CHANNELS, stride=2)
STAGES = (_stage(0, 32, 1, 1), _stage(1, 64, 2, 2), _stage(2, 128, 2, 2), _stage(3, 256, 3, 2))
# The neck takes the last stages, one per stride.
LATERALS = tuple(
    Conv(f"neck.laterals.{n}", stage.out_channels, NECK_CHANNELS, kernel=1)
    for n, stage in enumerate(STAGES[-len(STRIDES) :])
)
HEADS = tuple(
    (
        Conv(f"head.features.{n}", NECK_CHANNELS, NECK_CHANNELS),
        Conv(f"head.predictions.{n}", NECK_CHANNELS, NUM_CLASSES + 4 * BINS, kernel=1),
    )
    for n in range(len(STRIDES))
)


def convolutions() -> list[Conv]:
    """Every convolution, in the order in which the upstream network runs them."""
    backbone = [STEM]
    for stage in STAGES:
        backbone += [stage.entry, *(conv for block in stage.blocks for conv in block), stage.exit]
    return [*backbone, *LATERALS, *(conv for head in HEADS for conv in head)]


def output_names() -> list[str]:
    """The names of the outputs, by stride: scores_S (B, N, 80) after the sigmoid, distances_S (B, N, 44) logits."""
    return [f"{kind}_{stride}" for stride in STRIDES for kind in ("scores", "distances")]
