"""What is PyTorch's own; what all backends share is in test_contract.py."""

from __future__ import annotations

import gc
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_model import write_tiny_card

from robot_ai.backends.registry import create
from robot_ai.backends.torch_device import CudaGpu
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model

torch = pytest.importorskip("torch", exc_type=ImportError)


def test_the_threads_hold_in_the_thread_that_infers() -> None:
    """PyTorch counts threads per calling thread, and a node infers in another one than it loads in."""
    backend = create("pytorch")
    backend.load(ModelCard.load(find_model("nanodet_g"), backends=["pytorch"]), "cpu", 1)
    seen: list[int] = []

    def work() -> None:
        torch.set_num_threads(2)
        backend.infer({"image": np.zeros((1, 416, 416, 3), np.float32)})
        seen.append(torch.get_num_threads())

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(60)
    assert seen == [1]


def test_both_layouts_give_the_same() -> None:
    card = ModelCard.load(find_model("nanodet_g"), backends=["pytorch"])
    planar = replace(card, artifacts={"pytorch": replace(card.artifacts["pytorch"], layout="NCHW")})
    image = np.random.default_rng(0).normal(size=(2, 416, 416, 3)).astype(np.float32)
    outputs = []
    for one, batch in ((card, image), (planar, np.ascontiguousarray(image.transpose(0, 3, 1, 2)))):
        backend = create("pytorch")
        backend.load(one, "cpu", 2)
        outputs.append(backend.infer({"image": batch}))
    for name, array in outputs[0].items():
        np.testing.assert_allclose(array, outputs[1][name], rtol=0, atol=1e-4)


def test_nothing_of_a_closed_program_is_kept(tmp_path: Path) -> None:
    """PyTorch caches what it reasoned about the shapes of each program that it loads, and with it the program's."""
    shapes = importlib.import_module("torch.fx.experimental.symbolic_shapes")
    card = ModelCard.load(write_tiny_card(tmp_path, ["pytorch/pt2"]), backends=["pytorch/pt2"]).select("pytorch/pt2")

    def kept_after(loads: int) -> int:
        for _ in range(loads):
            backend = create("pytorch")
            backend.load(card)
            backend.close()
        gc.unfreeze()
        return sum(type(thing) is shapes.ShapeEnv for thing in gc.get_objects())

    # The newest may be held until the next one takes its place.
    assert kept_after(2) >= kept_after(3)


class FakeGpu:
    """Stands in for `torch` where there is no GPU: what is put on it stays on the host, and what was asked is noted."""

    def __init__(self) -> None:
        self.cuda = self
        self.asked: list[str] = []

    def device(self, name: str) -> Any:
        assert name == "cuda:0"
        return torch.device("cpu")

    def Stream(self, device: Any) -> FakeGpu:  # noqa: N802 (PyTorch's name)
        return self

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        assert stream is self
        self.asked.append("enter")
        yield
        self.asked.append("leave")

    def synchronize(self) -> None:
        self.asked.append("synchronize")

    def empty_cache(self) -> None:
        self.asked.append("empty_cache")

    def empty(self, shape: Any, dtype: Any, *, pin_memory: bool) -> Any:
        assert pin_memory
        self.asked.append(f"pin {tuple(shape)}")
        return torch.empty(shape, dtype=dtype)

    def from_numpy(self, array: Any) -> Any:
        return torch.from_numpy(array)


def test_the_way_to_a_gpu_and_back_goes_through_pinned_memory_on_a_stream() -> None:
    """The same code that runs on a GPU, over a device that stays on the host."""
    fake = FakeGpu()
    gpu = CudaGpu(fake, 0)
    batches = [np.full((count, 3, 2, 2), value, np.float32) for count, value in ((2, 1.0), (1, 2.0), (3, 3.0))]
    found = [gpu.run(lambda image: {"double": image * 2}, batch)["double"] for batch in batches]
    for batch, double in zip(batches, found, strict=True):
        np.testing.assert_array_equal(double, batch * 2)  # also after later passes used the same staging memory
    one = ["enter", "pin (2, 3, 2, 2)", "pin (2, 3, 2, 2)", "leave", "synchronize"]
    smaller = ["enter", "pin (1, 3, 2, 2)", "leave", "synchronize"]  # the staging memory is large enough
    larger = [word.replace("(2", "(3") for word in one]
    assert fake.asked == [*one, *smaller, *larger]
    gpu.release()
    assert fake.asked[-1] == "empty_cache"


def test_a_batch_of_another_size_or_type_gets_staging_memory_of_its_own() -> None:
    gpu = CudaGpu(FakeGpu(), 0)
    for batch in (np.zeros((2, 3, 4, 4), np.float32), np.ones((2, 4, 4, 3), np.float32), np.ones((1, 2), np.uint8)):
        np.testing.assert_array_equal(gpu.run(lambda image: {"same": image}, batch)["same"], batch)
