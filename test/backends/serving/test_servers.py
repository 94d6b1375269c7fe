"""Both backends over both protocols, against servers that run a real model in a process of their own."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_servers import ModelServer, Served, free_port, start_kserve, start_tf_serving
from tiny_model import expected, images

from robot_ai.backends.errors import (
    ArtifactLoadError,
    BackendOptionError,
    DeviceError,
    InferenceError,
    VerificationError,
)
from robot_ai.backends.loading import BackendChoice, load_backend
from robot_ai.backends.protocol import Backend
from robot_ai.backends.registry import create
from robot_ai.backends.serving.errors import AnswerError, DeadlineExceededError, ServerUnavailableError
from robot_ai.models.card import ModelCard
from robot_ai.pipeline.image_detector import DetectionSettings, ImageDetector


def check(served: Served, backend: Backend, count: int) -> None:
    outputs = backend.infer({"image": images(count, served.layout)})
    wanted = expected(images(count))
    assert outputs.keys() == wanted.keys()
    for name, array in wanted.items():
        assert outputs[name].dtype == np.float32
        np.testing.assert_allclose(outputs[name], array, atol=1e-5)


def until_it_answers(served: Served, backend: Backend, seconds: float = 10) -> None:
    """Frames go on; each fails at once or is answered."""
    end = time.monotonic() + seconds
    while True:
        try:
            return check(served, backend, 1)
        except ServerUnavailableError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_it_answers_as_the_model_does(served: Served) -> None:
    backend = served.load()
    assert backend.device == served.server.urls[served.protocol]
    for count in (1, 3, 1):
        check(served, backend, count)


def test_a_batch_beyond_the_limit_is_split(served: Served) -> None:
    check(served, served.load("max_batch=2"), 5)


def test_a_huge_batch_passes(served: Served) -> None:
    count = 300 if served.protocol == "rest" else 3000
    check(served, served.load("timeout=60"), count)


def test_numbers_instead_of_bytes_are_read(served: Served) -> None:
    served.server.control.set(typed=True)
    check(served, served.load(), 2)


def test_a_slow_answer_is_given_up_and_the_next_frame_is_fine(served: Served) -> None:
    backend = served.load("timeout=0.5")
    served.server.control.set(delay=1.5)
    started = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"no answer within 0.5 s.*raise the option timeout"):
        check(served, backend, 1)
    assert time.monotonic() - started < 1.4
    served.server.control.set()
    check(served, backend, 1)


def test_loading_has_more_time_than_a_frame(served: Served) -> None:
    card = ModelCard.load(served.card, backends=[served.name])
    options = {"url": served.server.urls[served.protocol], "version": 1, "timeout": 0.3, "load_timeout": 10}
    backend = create(served.name)
    served.server.control.set(delay=0.6)
    with pytest.raises(ArtifactLoadError, match=r"no answer within 0.3 s"):  # the pass after the first one
        backend.load(card.select(served.name, "auto", options))
    served.server.control.set(delay=0.1)
    backend.load(card.select(served.name, "auto", options))
    backend.close()


@pytest.mark.parametrize("wrong", ["shape", "dtype", "name"])
def test_an_answer_that_does_not_fit_the_card_is_shown(served: Served, wrong: str) -> None:
    if (served.protocol, wrong) == ("rest", "dtype"):
        pytest.skip("JSON's numbers have no dtype: they take the signature's")
    backend = served.load()
    served.server.control.set(wrong=wrong)
    with pytest.raises(AnswerError, match=r"the card says boxes \(batch, 64, 4\) float32|has datatype|dtype"):
        backend.infer({"image": images(1, served.layout)})
    with pytest.raises(ArtifactLoadError):
        served.load()
    served.server.control.set()
    check(served, backend, 1)


def test_nan_is_refused_at_load_and_at_a_frame(served: Served) -> None:
    detector = ImageDetector.load(
        BackendChoice(
            str(served.card), served.name, options=(f"url={served.server.urls[served.protocol]}", "version=1")
        )
    )
    served.server.control.set(nan=True)
    with pytest.raises(Exception, match="NaN"):
        detector.detect([np.zeros((32, 32, 3), np.uint8)], DetectionSettings())
    with pytest.raises(VerificationError):
        served.load()
    detector.close()


def test_a_model_or_version_that_is_not_there(served: Served) -> None:
    with pytest.raises(ArtifactLoadError, match=r"backend '\w+': .*set the option"):
        served.load("model_name=other")
    with pytest.raises(ArtifactLoadError, match=r"(?i:version)"):
        served.load("version=7")


def test_a_server_that_is_down_at_load(served: Served) -> None:
    closed = free_port()
    url = served.server.urls[served.protocol].rsplit(":", 1)[0] + f":{closed}"
    with pytest.raises(ArtifactLoadError, match=rf"{url}: the server cannot be reached .*Is it running"):
        served.load(f"url={url}", "load_timeout=0.6")


def test_what_is_asked_of_the_server_only(served: Served) -> None:
    url = f"url={served.server.urls[served.protocol]}"
    with pytest.raises(DeviceError, match=r"computes on the server's device"):
        load_backend(BackendChoice(str(served.card), served.name, device="cuda:0", options=(url,)))
    with pytest.raises(BackendOptionError, match=r"has no option speed; its options are url: "):
        served.load("speed=2")


@pytest.fixture
def noise() -> Iterator[Callable[[bytes | None], int]]:
    """A port where something else listens: it says these bytes to whoever connects, or nothing at all."""
    listeners: list[socket.socket] = []
    kept: list[socket.socket] = []

    def listen(said: bytes | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                if said is not None:
                    connection.sendall(said)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return int(listener.getsockname()[1])

    yield listen
    for each in (*listeners, *kept):
        each.close()


GARBAGE = bytes(np.random.default_rng(1).integers(0, 256, 4000, np.uint8))


@pytest.mark.parametrize(
    "said", [GARBAGE, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"SSH-2.0-x\r\n", None]
)
def test_something_else_on_the_port_is_no_model_server(
    served: Served, noise: Callable[[bytes | None], int], said: bytes | None
) -> None:
    url = served.server.urls[served.protocol].rsplit(":", 1)[0] + f":{noise(said)}"
    started = time.monotonic()
    with pytest.raises(ArtifactLoadError, match=url):
        served.load(f"url={url}", "load_timeout=0.8", "timeout=0.3")
    assert time.monotonic() - started < 10


def start(kind: str, folder: Path, request: pytest.FixtureRequest) -> ModelServer:
    if kind == "tf_serving":
        return start_tf_serving(folder, request.getfixturevalue("saved_models"))
    return start_kserve(folder, request.getfixturevalue("server_card"))


@pytest.mark.parametrize("kind", ["tf_serving", "kserve"])
def test_a_server_that_is_started_again_is_found_again(
    kind: str, tmp_path: Path, serve: Any, request: pytest.FixtureRequest
) -> None:
    server = start(kind, tmp_path, request)
    try:
        both = [serve(kind, protocol, server) for protocol in server.urls]
        backends = [each.load() for each in both]
        server.kill()
        for backend, each in zip(backends, both, strict=True):
            for _ in range(3):
                with pytest.raises(ServerUnavailableError, match="The next request tries again"):
                    check(each, backend, 1)
        server.start()
        for backend, each in zip(backends, both, strict=True):
            until_it_answers(each, backend)
        # Restarted between two frames: the broken connection costs no frame.
        server.kill()
        server.start()
        for backend, each in zip(backends, both, strict=True):
            check(each, backend, 1)
    finally:
        server.kill()


def test_no_framework_is_imported(kserve: ModelServer, server_card: Path) -> None:
    """A robot that only calls a server needs neither TensorFlow nor PyTorch nor a client package."""
    program = f"""
import sys
from robot_ai.backends.loading import BackendChoice, load_backend
for protocol, url in {kserve.urls!r}.items():
    load_backend(BackendChoice({str(server_card)!r}, "kserve", options=(f"url={{url}}",)))[1].close()
    heavy = {{"tensorflow", "torch", "onnxruntime", "tritonclient", "tensorflow_serving"}} & set(sys.modules)
    assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_closing_during_a_request_ends_it(served: Served) -> None:
    backend = served.load("timeout=20")
    served.server.control.set(delay=3)
    threading.Timer(0.3, backend.close).start()
    started = time.monotonic()
    with pytest.raises(InferenceError):
        check(served, backend, 1)
    assert time.monotonic() - started < 15
