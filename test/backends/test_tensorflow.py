"""What is TensorFlow's own; what all backends share is in test_contract.py."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robot_ai.backends.errors import ArtifactLoadError
from robot_ai.backends.registry import create
from robot_ai.models.card import Artifact, ModelCard
from robot_ai.models.find import find_model

tf = pytest.importorskip("tensorflow", exc_type=ImportError)

CHECKOUT = Path(__file__).resolve().parents[2]


def card_for(path: Path) -> ModelCard:
    """The default model's card over a `.keras` file."""
    card = ModelCard.load(find_model("nanodet_g"), backends=[])
    image = replace(card.inputs[0], height=32, width=32, layout="NHWC")
    output = replace(card.outputs[0], name="mean", shape=(None, 3))
    return replace(card, inputs=(image,), outputs=(output,), artifacts={"tensorflow": Artifact(path=path)})


def save_model(path: Path, layer: Any) -> Path:
    image = tf.keras.Input((32, 32, 3))
    tf.keras.Model(image, layer(image)).save(path)
    return path


def test_a_keras_file_is_run(tmp_path: Path) -> None:
    backend = create("tensorflow")
    backend.load(card_for(save_model(tmp_path / "m.keras", tf.keras.layers.GlobalAveragePooling2D())), "cpu", 1)
    image = np.random.default_rng(0).random((3, 32, 32, 3), np.float32)
    np.testing.assert_allclose(backend.infer({"image": image})["mean"], image.mean(axis=(1, 2)), atol=1e-5)


def test_a_keras_file_with_code_is_refused_without_executing_it(tmp_path: Path) -> None:
    code = tf.keras.layers.Lambda(lambda x: tf.reduce_mean(x, axis=(1, 2)))
    path = save_model(tmp_path / "m.keras", code)
    with pytest.raises(
        ArtifactLoadError, match=r"holds a layer with code in it \(Lambda\); nothing of it was executed"
    ):
        create("tensorflow").load(card_for(path), "cpu", 1)


def test_a_damaged_keras_file_is_refused(tmp_path: Path) -> None:
    path = save_model(tmp_path / "m.keras", tf.keras.layers.GlobalAveragePooling2D())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ArtifactLoadError, match=r"is not a readable archive.*Restore it"):
        create("tensorflow").load(card_for(path), "cpu", 1)


LOAD = """
from robot_ai.backends.registry import create
from robot_ai.models.card import ModelCard
from robot_ai.models.find import find_model

backend = create("tensorflow")
backend.load(ModelCard.load(find_model("nanodet_g")), "cpu", 1)
"""


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("TF_", "KERAS_"))}
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=CHECKOUT,
        check=False,
        env={**inherited, **environment},
    )


def test_loading_says_nothing() -> None:
    done = run(LOAD)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_is_no_start_up_message_is_passed_on() -> None:
    """Also from native code, and from a process that dies while TensorFlow is imported."""
    program = """
import os, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            os.write(2, b"E0000 00:00:1.5 1 x.cc:1] a real error\\nno newline")
            os.abort()

sys.meta_path.insert(0, Finder())
"""
    done = run(program + LOAD)
    assert done.returncode != 0
    assert done.stderr.endswith("a real error\nno newline") or "a real error\nno newline" in done.stderr


def test_another_keras_backend_is_refused() -> None:
    done = run(LOAD, KERAS_BACKEND="numpy")
    assert "Keras runs on 'numpy' in this process; expected 'tensorflow'. Unset KERAS_BACKEND" in done.stderr


def test_another_number_of_threads_is_warned_of() -> None:
    again = "import logging; logging.basicConfig()\ncreate('tensorflow').load(backend_card, 'cpu', 2)\n"
    done = run(LOAD + "backend_card = ModelCard.load(find_model('nanodet_g'))\n" + again)
    assert done.returncode == 0, done.stderr
    assert "already runs in this process with 1 threads" in done.stderr
