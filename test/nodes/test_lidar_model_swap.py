"""lidar_detector with a learned method: swapped on request, and left for clusters when it fails."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", exc_type=ImportError)

import yaml
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import Diagnostics, NodeProcess, Peer, ledger, node_and_peer
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from vision_msgs.msg import Detection3DArray

from robot_ai.models.find import find_model
from robot_ai.ros.clouds import to_cloud
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast
from robot_ai.training.lidar_shapes import Shape, Thing, person, vehicle

NODE = "/lidar_detector"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Seconds: on a busy machine PyTorch alone takes half a minute to import.
START = 60.0
SUPPORT = Path(__file__).parents[1] / "support"


LOW_BOX = Thing("obstacle", (Shape("box", (0, 0, 0.3), (0.5, 0.4, 0.3)),))


def street() -> np.ndarray:
    """A person, a car, and a low box, which is an obstacle by any method; 64 beams on a level floor."""
    rng = np.random.default_rng(2)
    things: tuple[Thing, ...] = (person(rng), vehicle(rng), LOW_BOX)
    places = ((7.0, 1.0, 0.4), (10.0, -6.0, 0.5), (-8.0, 3.0, 1.2))
    return cast(Scene(Ground.level(1.8), things, places), BEAMS[64], rng).points


STREET = street()


class Lidar:
    """Asks for one cloud after the other."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.publisher = peer.node.create_publisher(PointCloud2, "points", 10)
        self.answers = peer.listen(Detection3DArray, "detections")
        self.sent = 0
        peer.wait(self.publisher.get_subscription_count, START)
        peer.wait(lambda: peer.node.count_publishers("detections"), START)
        peer.spin(0.6)

    def send(self) -> int:
        self.sent += 1
        header = Header(frame_id="lidar")
        header.stamp.sec = self.sent
        self.publisher.publish(to_cloud(STREET, header))
        return self.sent

    def ask(self) -> Detection3DArray:
        number = self.send()
        self.peer.wait(lambda: any(a.header.stamp.sec == number for a in self.answers), START)
        return next(a for a in self.answers if a.header.stamp.sec == number)


def near(answer: Detection3DArray, x: float, y: float, reach: float) -> list[str]:
    """The classes of what was found within reach of a place."""
    return [
        d.results[0].hypothesis.class_id
        for d in answer.detections
        if np.hypot(d.bbox.center.position.x - x, d.bbox.center.position.y - y) < reach
    ]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[NodeProcess, Peer]]:
    arguments = ["-p", "method:=pillars", "-p", "backend:=pytorch", "-p", "threads:=1"]
    with node_and_peer("lidar_detector", arguments, tmp_path / "log") as (node, peer):
        yield node, peer


def test_the_learned_method_finds_and_swaps_on_a_running_node(running: tuple[NodeProcess, Peer]) -> None:
    node, peer = running
    lidar, diagnostics = Lidar(peer), Diagnostics(peer)
    answer = lidar.ask()
    assert "pillarnet in pytorch on cpu" in node.output()
    assert near(answer, 10.0, -6.0, 1.5) == ["vehicle"]
    assert near(answer, -8.0, 3.0, 1.5) == ["obstacle"]
    assert peer.set(NODE, method="cluster").successful
    assert near(lidar.ask(), 10.0, -6.0, 1.5) == ["vehicle"]
    assert diagnostics.next("detector")[2]["serving"] == "clusters, without a model"
    refused = peer.set(NODE, method="pillars", model="nanodet_g")
    assert not refused.successful and "detection in images" in refused.reason
    assert peer.get(NODE, "method") == "cluster"
    assert peer.set(NODE, method="pillars").successful
    assert near(lidar.ask(), 10.0, -6.0, 1.5) == ["vehicle"]
    values = diagnostics.next("lidar")[2]
    assert ledger(values)[2]["failed"] == 0
    assert diagnostics.next("swap")[2]["swaps"] == "2"


def test_a_running_node_goes_from_format_to_format(running: tuple[NodeProcess, Peer]) -> None:
    frameworks = {"onnx": "onnxruntime", "openvino": "openvino", "litert": "ai_edge_litert"}
    formats = [name for name, module in frameworks.items() if find_spec(module) is not None]
    if not formats:
        pytest.skip("no runtime of exported formats is installed: extras onnx, openvino, litert")
    _, peer = running
    lidar, diagnostics = Lidar(peer), Diagnostics(peer)
    expected = boxes(lidar.ask())
    for backend in formats:
        assert peer.set(NODE, backend=backend).successful
        np.testing.assert_allclose(boxes(lidar.ask()), expected, atol=1e-3, err_msg=backend)
        assert diagnostics.next("detector")[2]["serving"] == f"pillarnet in {backend} on cpu"
    assert ledger(diagnostics.next("lidar")[2])[2]["failed"] == 0


def boxes(answer: Detection3DArray) -> np.ndarray:
    """(N, 7): places, sizes and scores in the order of the answer."""
    rows = []
    for detection in answer.detections:
        at, size = detection.bbox.center.position, detection.bbox.size
        rows.append([at.x, at.y, at.z, size.x, size.y, size.z, detection.results[0].hypothesis.score])
    return np.array(rows)


def failing_card(folder: Path) -> Path:
    """A copy of pillarnet whose network fails from its fifth pass on."""
    card = folder / "failing"
    shutil.copytree(find_model("pillarnet"), card)
    content = yaml.safe_load((card / "model.yaml").read_text(encoding="utf-8"))
    content["artifacts"] = {"pytorch": content["artifacts"]["pytorch"]}
    content["artifacts"]["pytorch"]["network"] = "failing_pillarnet:FailingPillarNet"
    (card / "model.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return card


def test_it_falls_back_to_clusters_when_the_network_fails(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SUPPORT), prepend=":")
    arguments = ["-p", "method:=pillars", "-p", f"model:={failing_card(tmp_path)}", "-p", "threads:=1"]
    arguments += ["-p", "max_consecutive_failures:=2", "-p", "fallback_retry_after:=600.0"]
    with node_and_peer("lidar_detector", arguments, tmp_path / "log") as (node, peer):
        status = peer.listen(DiagnosticStatus, "backend_status", LATCHED)
        lidar, diagnostics = Lidar(peer), Diagnostics(peer)
        deadline = time.monotonic() + START
        while not any("serving with 'cluster'" in s.message for s in status) and time.monotonic() < deadline:
            lidar.send()
            peer.spin(0.3)
        assert "falling back to 'cluster'" in node.output()
        assert near(lidar.ask(), 10.0, -6.0, 1.5) == ["vehicle"]
        assert peer.get(NODE, "method") == "pillars", "the parameter says what was asked for"
        received, published, dropped, _ = ledger(diagnostics.next("lidar")[2])
        assert dropped["failed"] >= 2
        assert received >= published + dropped["failed"]
