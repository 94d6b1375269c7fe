"""The backend without a framework."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stub_card import write_stub_card

from robot_ai.backends.errors import ArtifactLoadError, BackendOptionError, DeviceError, InferenceError
from robot_ai.backends.stub import StubBackend
from robot_ai.models.card import ModelCard


def load(folder: Path, layout: str = "NHWC", **options: Any) -> StubBackend:
    backend = StubBackend()
    backend.load(ModelCard.load(write_stub_card(folder, size=32, layout=layout, **options)))
    return backend


@pytest.mark.parametrize("layout", ["NHWC", "NCHW"])
def test_bright_pixels_are_boxed_in_each_image(tmp_path: Path, layout: str) -> None:
    images = np.zeros((3, 32, 32, 3), np.uint8)
    images[0, 4:10, 6:20, 1] = 255
    images[2, 31, 0] = 201
    batch = images if layout == "NHWC" else np.ascontiguousarray(images.transpose(0, 3, 1, 2))

    outputs = load(tmp_path, layout).infer({"image": batch})

    assert outputs["boxes"][:, 0].tolist() == [[6, 4, 20, 10], [0, 0, 0, 0], [0, 31, 1, 32]]
    np.testing.assert_allclose(outputs["scores"][:, 0], [[0.9, 0], [0, 0], [0.9, 0]])
    assert not outputs["scores"][:, 1:].any()


def test_threshold_and_class_are_options(tmp_path: Path) -> None:
    images = np.full((1, 32, 32, 3), 50, np.uint8)
    outputs = load(tmp_path, threshold=49, class_index=1).infer({"image": images})
    assert outputs["boxes"][0, 0].tolist() == [0, 0, 32, 32]
    assert outputs["scores"][0, 0].tolist() == pytest.approx([0, 0.9])


def test_it_fails_and_waits_when_told(tmp_path: Path) -> None:
    backend = load(tmp_path, fail_every=2, delay=0.05)
    image = {"image": np.zeros((1, 32, 32, 3), np.uint8)}
    for _ in range(2):
        started = time.perf_counter()
        backend.infer(image)
        assert time.perf_counter() - started >= 0.05
        with pytest.raises(InferenceError, match="told to fail by its option 'fail_every'"):
            backend.infer(image)


def test_loading_fails_when_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactLoadError, match="told to fail by its option 'fail_load'"):
        load(tmp_path, fail_load=True)


def test_an_unknown_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendOptionError, match="no option speed; its options are threshold"):
        load(tmp_path, speed=1)
    with pytest.raises(BackendOptionError, match="option 'delay' of backend 'stub' is -1; expected a number from 0"):
        load(tmp_path, delay=-1)


def test_a_gpu_and_negative_threads_are_refused(tmp_path: Path) -> None:
    card = ModelCard.load(write_stub_card(tmp_path, size=32))
    with pytest.raises(DeviceError, match="'cuda:0', which the stub cannot use: it sees none"):
        StubBackend().load(card, "cuda:0")
    with pytest.raises(DeviceError, match="threads is -1; expected 0"):
        StubBackend().load(card, threads=-1)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"picture": np.zeros((1, 32, 32, 3), np.uint8)},
        {"image": np.zeros((1, 32, 32, 3), np.float32)},
        {"image": np.zeros((1, 32, 31, 3), np.uint8)},
        {"image": np.zeros((0, 32, 32, 3), np.uint8)},
        {"image": np.zeros((32, 32, 3), np.uint8)},
        {"image": [[0]]},
    ],
)
def test_inputs_that_do_not_fit_are_shown(tmp_path: Path, tensors: Any) -> None:
    with pytest.raises(InferenceError, match=r"expected image \(batch, 32, 32, 3\) uint8"):
        load(tmp_path).infer(tensors)
