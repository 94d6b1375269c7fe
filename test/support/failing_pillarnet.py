"""PillarNet that fails from its fifth pass on: it passes loading and warming up."""

from __future__ import annotations

from torch import Tensor

from robot_ai.models.networks.pillarnet_torch import PillarNet

PASSES = 4


class FailingPillarNet(PillarNet):
    """As PillarNet, for `PASSES` passes."""

    def __init__(self) -> None:
        super().__init__()
        self.passes = 0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.passes += 1
        if self.passes > PASSES:
            raise RuntimeError("told to fail")
        return super().forward(x)
