"""Model servers for tests: real processes on ports of their own, which can be killed and started again."""

from __future__ import annotations

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server_control import Control
from tiny_model import keras_network, write_tiny_card

from robot_ai.backends.loading import BackendChoice, load_backend
from robot_ai.backends.protocol import Backend

SUPPORT = Path(__file__).resolve().parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class ModelServer:
    """A process of tf_serving_server.py or kserve_server.py. `urls` by protocol."""

    def __init__(self, script: str, folder: Path, *arguments: str, secure: bool = False) -> None:
        self.control = Control(folder / "control.json")
        self.control.set()
        self.ports = [free_port(), free_port()]
        second = "rest" if script.startswith("tf") else "http"
        s = "s" if secure else ""
        self.urls = {"grpc": f"grpc{s}://127.0.0.1:{self.ports[0]}", second: f"http{s}://127.0.0.1:{self.ports[1]}"}
        ports = ["--ports", *map(str, self.ports)]
        control = ["--control", str(folder / "control.json")]
        self._command = [sys.executable, str(SUPPORT / script), *ports, *control, *arguments]
        self._log = folder / "server.log"
        self._process: subprocess.Popen[Any] | None = None
        self.start()

    def start(self) -> None:
        """Returns when the server listens."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            self.kill()
            raise RuntimeError(f"{self._command} did not start:\n{self._log.read_text()[-3000:]}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


def write_served_card(folder: Path) -> Path:
    """The tiny model with a golden sample and an artifact for each server and for ONNX Runtime; returns the folder."""
    write_tiny_card(folder, ["onnx"])
    file = folder / "model.yaml"
    text = file.read_text(encoding="utf-8")
    served = "  tf_serving: {layout: NHWC, tensors: {image: picture}}\n  kserve: {}\n"
    file.write_text(text.replace("artifacts:\n", "artifacts:\n" + served, 1), encoding="utf-8")
    return folder


def write_saved_models(base: Path) -> None:
    """Version 1 is the tiny model; version 2 is its outputs plus 1."""
    import tensorflow as tf

    model = keras_network()
    for version in (1, 2):
        shift = float(version - 1)

        def forward(image: Any, shift: float = shift) -> Any:
            return {name: tensor + shift for name, tensor in model(image, training=False).items()}

        signature = [tf.TensorSpec((None, 32, 32, 3), tf.float32, name="picture")]
        fixed = [tf.TensorSpec((2, 32, 32, 3), tf.float32, name="picture")]
        tf.saved_model.save(
            model,
            str(base / str(version)),
            signatures={
                "serving_default": tf.function(forward, input_signature=signature),
                "pairs": tf.function(forward, input_signature=fixed),
            },
        )


def start_tf_serving(folder: Path, base: Path) -> ModelServer:
    return ModelServer("tf_serving_server.py", folder, "--name", "tiny", "--base", str(base), "--label", "canary=2")


def start_kserve(folder: Path, card: Path, *arguments: str, secure: bool = False) -> ModelServer:
    return ModelServer("kserve_server.py", folder, "--card", str(card), "--backend", "onnx", *arguments, secure=secure)


@dataclass
class Served:
    """One backend over one protocol, against a running server; `load` gives it loaded and verified."""

    name: str
    protocol: str
    server: ModelServer
    card: Path
    opened: list[Backend]

    @property
    def layout(self) -> str:
        return "NHWC" if self.name == "tf_serving" else "NCHW"

    def load(self, *options: str) -> Backend:
        given = (f"url={self.server.urls[self.protocol]}", "version=1", *options)
        _, backend = load_backend(BackendChoice(str(self.card), self.name, options=given))
        self.opened.append(backend)
        return backend
