"""One convolution as numbers, shared by the plans of all networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Conv:
    """One convolution with bias and symmetric padding of kernel // 2; `name` + .weight / .bias are its tensors."""

    name: str
    in_channels: int
    out_channels: int
    kernel: int = 3
    stride: int = 1
