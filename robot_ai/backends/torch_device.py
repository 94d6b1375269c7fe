"""Where PyTorch computes: how a batch gets there and how the outputs come back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Network = Callable[[Any], Mapping[str, Any]]


class TorchDevice(Protocol):
    """Runs a network over a host array. `device` is the `torch.device`."""

    device: Any

    def run(self, network: Network, batch: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
        """One forward pass; the arrays returned belong to the caller."""

    def release(self) -> None:
        """Gives back the memory that is kept between passes."""


class Cpu:
    """The host: the batch is passed and the outputs are returned without a copy."""

    def __init__(self, torch: Any) -> None:
        self.device = torch.device("cpu")
        self._torch = torch

    def run(self, network: Network, batch: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
        """One forward pass."""
        return {name: tensor.numpy() for name, tensor in network(self._torch.from_numpy(batch)).items()}

    def release(self) -> None:
        """Nothing is kept."""


class CudaGpu:
    """One GPU, with a stream of its own, so that nothing waits for other work on it.

    Copies go through page-locked memory, which the GPU reads and writes by itself; the one wait is at the end.
    """

    def __init__(self, torch: Any, index: int) -> None:
        self.device = torch.device(f"cuda:{index}")
        self._torch = torch
        self._stream = torch.cuda.Stream(self.device)
        self._staging: Any = None

    def run(self, network: Network, batch: NDArray[Any]) -> dict[str, NDArray[np.generic]]:
        """One forward pass."""
        with self._torch.cuda.stream(self._stream):
            given = self._stage(self._torch.from_numpy(batch)).to(self.device, non_blocking=True)
            outputs = {name: self._fetch(tensor) for name, tensor in network(given).items()}
        self._stream.synchronize()
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    def release(self) -> None:
        """Gives the GPU's memory back to the driver."""
        self._staging = None
        self._torch.cuda.empty_cache()

    def _stage(self, host: Any) -> Any:
        """Copies the batch into page-locked memory that is kept; the last pass has read it, or it would not be over."""
        kept = self._staging
        if kept is None or len(kept) < len(host) or (kept.shape[1:], kept.dtype) != (host.shape[1:], host.dtype):
            self._staging = self._torch.empty(host.shape, dtype=host.dtype, pin_memory=True)
        staged = self._staging[: len(host)]
        staged.copy_(host)
        return staged

    def _fetch(self, tensor: Any) -> Any:
        host = self._torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return host.copy_(tensor, non_blocking=True)
