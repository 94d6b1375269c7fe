"""`python -m bench.serving`: the default model behind a model server on this machine, beside the same model in process.

What a server adds is the way there and back: 2.1 MB of image and 1.8 MB of answer per frame. The servers are those of
the tests (test/support), in processes of their own; the models are run by TensorFlow and by PyTorch on both sides.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.report import machine
from robot_ai.backends.protocol import Backend
from robot_ai.backends.registry import create
from robot_ai.models.card import Artifact, ModelCard
from robot_ai.models.find import find_model

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "support"))

THREADS = 2
SECONDS = 8.0
WARM_UP = 5


def export_saved_model(folder: Path) -> None:
    """Writes the default model as version 1 of a SavedModel, with the card's names."""
    import tensorflow as tf

    from robot_ai.backends.support import read_safetensors
    from robot_ai.models.networks.nanodet_tensorflow import NanoDetG

    network = NanoDetG()
    network.load_tensors(read_safetensors(find_model("nanodet_g") / "nanodet_g.safetensors"))
    signature = [tf.TensorSpec((None, 416, 416, 3), tf.float32, name="image")]

    # Not the network itself: Keras would be traced once more, with the image's size left open.
    module = tf.Module()
    module.weights = network.weights
    module.serve = tf.function(lambda image: network(image, training=False), input_signature=signature)
    tf.saved_model.save(module, str(folder / "1"), signatures=module.serve)


def load(name: str, options: Mapping[str, Any] | None) -> Backend:
    """A backend with the default model: in process without options, else against a server."""
    card = ModelCard.load(find_model("nanodet_g"), backends=[name] if options is None else [])
    artifact = card.artifacts[name] if options is None else Artifact(layout="NHWC", options=options)
    backend = create(name)
    backend.load(replace(card, artifacts={name: artifact}), "cpu", THREADS)
    return backend


def measure(backend: Backend) -> list[float]:
    """Milliseconds of each forward pass, batch 1."""
    image = np.random.default_rng(0).normal(size=(1, 416, 416, 3)).astype(np.float32)
    for _ in range(WARM_UP):
        backend.infer({"image": image})
    durations = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        started = time.perf_counter()
        backend.infer({"image": image})
        durations.append(1000 * (time.perf_counter() - started))
    return durations


def main() -> int:
    """Measures and prints a table; with a backend's name only that one's row, in this process."""
    if len(sys.argv) > 1:
        backend = load(sys.argv[1], None)
        _row(f"`{sys.argv[1]}`, in process", measure(backend))
        return 0
    from model_servers import ModelServer

    print(f"{machine()}. NanoDet-g, batch 1, {THREADS} threads, `python -m bench.serving`.\n")
    print("| Way | p50 ms | p95 ms | passes |\n|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        export_saved_model(folder / "models")
        threads = ["--threads", str(THREADS)]
        tf_serving = ["--name", "nanodet_g", "--base", str(folder / "models"), *threads]
        kserve = ["--card", "nanodet_g", "--backend", "pytorch", *threads]
        ways: list[tuple[str, str, list[str], str, dict[str, Any]]] = [
            ("tf_serving_server.py", "tf_serving", tf_serving, "grpc", {}),
            ("tf_serving_server.py", "tf_serving", tf_serving, "rest", {}),
            ("kserve_server.py", "kserve", kserve, "grpc", {}),
            ("kserve_server.py", "kserve", kserve, "grpc", {"binary": False}),
            ("kserve_server.py", "kserve", kserve, "http", {}),
            ("kserve_server.py", "kserve", kserve, "http", {"binary": False}),
        ]
        for local in ("tensorflow", "pytorch"):
            # In a process without the other framework, whose threads would be in the way.
            subprocess.run([sys.executable, "-m", "bench.serving", local], check=True)
        for script, served, arguments, protocol, options in ways:
            server = ModelServer(script, folder, *arguments)
            try:
                backend = load(served, {"url": server.urls[protocol], "timeout": 30, "load_timeout": 60, **options})
                numbers = ", numbers instead of bytes" if options else ""
                _row(f"`{served}`, {protocol}{numbers}", measure(backend))
                backend.close()
            finally:
                server.kill()
    return 0


def _row(way: str, durations: list[float]) -> None:
    p50, p95 = np.percentile(durations, [50, 95])
    print(f"| {way} | {p50:.1f} | {p95:.1f} | {len(durations)} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
