"""What is PyTorch's own; what all backends share is in test_contract.py."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from robot_ai.backends.registry import create
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
