"""camera_detector with a model on a server: it answers frames, falls back when the server dies, and returns."""

from __future__ import annotations

from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from frame_stream import LATCHED, Stream, arguments, books
from model_servers import ModelServer, start_kserve, start_tf_serving, write_saved_models, write_served_card
from ros_harness import Diagnostics, node_and_peer

pytest.importorskip("grpc", reason="needs the extra serving")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")


@pytest.fixture(params=["tf_serving", "kserve"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, ModelServer, Path]:
    """A backend's name, its server in a process of its own, and the card of the model that it serves."""
    card = write_served_card(tmp_path / "card")
    if request.param == "tf_serving":
        pytest.importorskip("tensorflow", exc_type=ImportError)
        write_saved_models(tmp_path / "models")
        server = start_tf_serving(tmp_path, tmp_path / "models")
    else:
        server = start_kserve(tmp_path, card)
    request.addfinalizer(server.kill)
    return request.param, server, card


def test_a_server_that_dies_is_replaced_and_returned_to(served: tuple[str, ModelServer, Path], tmp_path: Path) -> None:
    name, server, card = served
    given = arguments(
        card,
        backend=name,
        backend_options=f"['url={server.urls['grpc']}', version=1, timeout=5.0, load_timeout=15.0]",
        fallback_backends="[onnx]",
        max_consecutive_failures=3,
        fallback_retry_after=1.0,
    )
    with node_and_peer("camera_detector", given, tmp_path / "log") as (node, peer):
        status = peer.listen(DiagnosticStatus, "backend_status", LATCHED)
        stream = Stream(peer).start()
        stream.more(15)
        assert f"in {name} on {server.urls['grpc']}" in Diagnostics(peer).next("swap")[2]["serving"]
        server.kill()
        peer.wait(lambda: any("serving with 'onnx'" in s.message for s in status), 30)
        stream.more(15)
        assert peer.get("/camera_detector", "backend") == name, "the parameter says what was asked for"
        server.start()
        peer.wait(lambda: f"'{name}' works again" in node.output(), 30)
        stream.more(15)
        stream.stop()
        counted = books(peer, stream)
        assert counted[2]["failed"] >= 3 and counted[3] == 0
        assert "server cannot be reached" in node.output()
