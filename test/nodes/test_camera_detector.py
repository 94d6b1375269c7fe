"""camera_detector as others see it: a process on the graph."""

from __future__ import annotations

import array
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_harness import Diagnostics, NodeProcess, Peer, bright_image, ledger, next_domain, node_and_peer
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool
from stub_card import write_stub_card
from vision_msgs.msg import Detection2DArray, LabelInfo, VisionInfo

NODE = "/camera_detector"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class Camera:
    """Publishes numbered images and waits for their answers."""

    def __init__(self, peer: Peer, topic: str = "image", detections: str = "detections", qos: object = 10) -> None:
        self.peer = peer
        self.publisher = peer.node.create_publisher(Image, topic, qos)
        self.detections = detections
        self.answers = peer.listen(Detection2DArray, detections)
        self._stamp = 1_000_000_000

    def ready(self) -> Camera:
        """Waits for the match, and for the QoS check that may replace the subscription."""
        self.peer.wait(self.publisher.get_subscription_count)
        self.peer.wait(lambda: self.peer.node.count_publishers(self.detections))
        self.peer.spin(0.6)
        return self

    def send(self, width: int = 320, height: int = 240, box: tuple[int, int, int, int] | None = None) -> int:
        self._stamp += 1_000
        self.publisher.publish(bright_image(width, height, box, self._stamp))
        return self._stamp

    def answer(self, stamp: int, timeout: float = 10.0) -> Detection2DArray:
        def found() -> list[Detection2DArray]:
            return [a for a in self.answers if a.header.stamp.sec * 10**9 + a.header.stamp.nanosec == stamp]

        self.peer.wait(found, timeout)
        assert len(found()) == 1, "a frame was answered twice"
        return found()[0]

    def ask(self, **image: object) -> Detection2DArray:
        return self.answer(self.send(**image))


def parameters(card: Path, **values: object) -> list[str]:
    given = {"backend": "stub", "model": str(card), **values}
    return [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[tuple[NodeProcess, Peer, Camera, Diagnostics]]:
    """One node for the tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("detector")
    with node_and_peer("camera_detector", parameters(write_stub_card(folder)), folder / "log") as (node, peer):
        yield node, peer, Camera(peer).ready(), Diagnostics(peer)


def test_box_is_in_source_pixels_under_the_source_header(running) -> None:
    camera = running[2]
    answer = camera.ask(width=640, height=480, box=(100, 120, 300, 360))
    assert answer.header.frame_id == "cam"
    (detection,) = answer.detections
    assert detection.header == answer.header
    center, bbox = detection.bbox.center.position, detection.bbox
    # One network pixel is 640/416 source pixels wide.
    assert (center.x, center.y) == pytest.approx((200, 240), abs=2)
    assert (bbox.size_x, bbox.size_y) == pytest.approx((200, 240), abs=4)
    assert detection.results[0].hypothesis.class_id == "bright"
    assert detection.results[0].hypothesis.score == pytest.approx(0.9)


def test_an_image_with_nothing_in_it_gives_an_empty_array(running) -> None:
    assert list(running[2].ask(box=None).detections) == []


def test_a_stamp_before_all_time_ends_nothing(running) -> None:
    camera = running[2]
    image = bright_image(320, 240, (10, 10, 60, 60), 0)
    image.header.stamp.sec = -5
    camera.publisher.publish(image)
    assert len(camera.answer(-5 * 10**9).detections) == 1


def test_model_is_announced_to_late_listeners(running) -> None:
    peer = running[1]
    labels, info = peer.listen(LabelInfo, "label_info", LATCHED), peer.listen(VisionInfo, "vision_info", LATCHED)
    peer.wait(lambda: labels and info)
    assert [(c.class_id, c.class_name) for c in labels[0].class_map] == [(0, "bright"), (1, "other")]
    assert labels[0].threshold == pytest.approx(0.3)
    assert info[0].database_version >= 1
    assert info[0].database_location == "/label_info"
    assert "stub" in info[0].method


def test_drawn_image_comes_when_someone_listens(running) -> None:
    _, peer, camera, _ = running
    drawn = peer.listen(Image, "detections/image")
    peer.wait(lambda: peer.node.count_publishers("/detections/image"))
    deadline = time.monotonic() + 10
    while not drawn and time.monotonic() < deadline:
        camera.ask(box=(50, 60, 150, 160))
    image = np.frombuffer(drawn[-1].data, np.uint8).reshape(drawn[-1].height, drawn[-1].step // 3, 3)
    assert image.shape == (240, 320, 3)
    original = np.zeros_like(image)
    original[60:160, 50:150] = 255
    assert (image != original).any(), "nothing was drawn"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"confidence_threshold": 1.5}, "range"),
        ({"confidence_threshold": float("nan")}, "confidence_threshold"),
        ({"iou_threshold": 2.0}, "range"),
        ({"backend": "tensorflow"}, "no artifact for backend 'tensorflow'"),
        ({"backend": "nonesuch"}, "no artifact for backend 'nonesuch'"),
        ({"backend": "stub", "model": "nonesuch"}, "no model is named 'nonesuch'"),
        ({"fallback_backends": ["onnx"]}, "fixed while the node is configured"),
        ({"cameras": ["a"]}, "fixed while the node is configured"),
        ({"class_filter": ["brigth"]}, "did you mean 'bright'"),
        ({"max_rate": "fast"}, "type"),
        ({"autostart": False}, "read-only"),
        ({"confidence_threshold": 0.5, "max_rate": -1.0}, "range"),
    ],
)
def test_refused_parameter_leaves_everything_as_it_was(running, change: dict, reason: str) -> None:
    _, peer, camera, _ = running
    before = {name: peer.get(NODE, name) for name in change}
    result = peer.set(NODE, **change)
    assert not result.successful
    assert reason in result.reason.lower() or reason in result.reason
    assert {name: peer.get(NODE, name) for name in change} == before
    assert len(camera.ask(box=(10, 10, 90, 90)).detections) == 1


def test_thresholds_and_filter_change_at_the_next_frame(running) -> None:
    _, peer, camera, _ = running
    box = (10, 10, 90, 90)
    for change, expected in (
        ({"confidence_threshold": 0.95}, 0),
        ({"confidence_threshold": 0.5, "class_filter": ["other"]}, 0),
        ({"class_filter": []}, 1),
        ({"confidence_threshold": -1}, 1),  # an integer for a double is what people type
    ):
        assert peer.set(NODE, **change).successful
        assert len(camera.ask(box=box).detections) == expected, change


def test_tracks_keep_their_number_from_image_to_image(running) -> None:
    _, peer, camera, _ = running
    box = (100, 60, 180, 140)
    assert [d.id for d in camera.ask(box=box).detections] == [""]
    assert peer.set(NODE, tracking=True).successful
    ids = [[d.id for d in camera.ask(box=box).detections] for _ in range(4)]
    assert ids[0] == [""], "a track is told once it is confirmed"
    assert ids[1] != [""]
    assert ids[1] == ids[2] == ids[3]
    assert peer.set(NODE, tracking=False).successful
    assert [d.id for d in camera.ask(box=box).detections] == [""]


def test_enable_service_stops_and_starts_detection(running) -> None:
    _, peer, camera, diagnostics = running
    before = ledger(diagnostics.next("camera")[2])[2]["disabled"]
    assert peer.call(SetBool, f"{NODE}/enable", SetBool.Request(data=False)).success
    for _ in range(3):
        camera.send()
        peer.spin(0.05)
    diagnostics.until("camera", lambda *s: ledger(s[2])[2]["disabled"] == before + 3)
    assert diagnostics.next("model")[0] == 1
    assert peer.call(SetBool, f"{NODE}/enable", SetBool.Request(data=True)).success
    assert camera.ask() is not None


def broken_images() -> list[Image]:
    """One image of each fault."""
    good = bright_image(64, 48, None, 1)

    def broken(**fields: object) -> Image:
        message = Image(header=good.header, width=64, height=48, encoding="bgr8", step=192, data=good.data)
        for name, value in fields.items():
            setattr(message, name, value)
        return message

    return [
        broken(data=good.data[:-1]),
        broken(data=array.array("B")),
        broken(step=10),
        broken(width=0),
        broken(height=0),
        broken(encoding="nonsense"),
        broken(encoding=""),
        broken(width=100_000, height=1_000, step=300_000),
        broken(encoding="nv12", height=47),
        broken(height=4_000_000_000),
    ]


def test_storm_of_malformed_images(running) -> None:
    """1,000 bad messages among good ones: every good one is answered, every bad one counted."""
    node, peer, camera, diagnostics = running
    before = ledger(diagnostics.next("camera")[2])
    bad = broken_images()
    reliable_enough = 5  # messages at once, as many as the subscription keeps
    for round_ in range(20):
        for start in range(0, 50, reliable_enough):
            for number in range(reliable_enough):
                camera.publisher.publish(bad[(start + number + round_) % len(bad)])
            peer.spin(0.005)
        assert len(camera.ask(box=(10, 10, 60, 60)).detections) == 1
    _, _, values = diagnostics.next("camera")
    _, published, dropped, in_flight = ledger(values)
    assert in_flight == 0
    assert published - before[1] == 20
    new = {cause: count - before[2][cause] for cause, count in dropped.items()}
    lost = int(values["frames lost before arrival"])
    # A bad image that a newer one displaced before it was looked at is stale.
    assert new["malformed"] + new["stale"] + lost == 1000
    assert new["malformed"] > 100
    assert new["failed"] == 0
    assert node.alive()
    assert "dropped (malformed)" in node.output()


def test_unreadable_jpegs_are_counted(tmp_path: Path) -> None:
    arguments = parameters(write_stub_card(tmp_path), image_transport="compressed")
    with node_and_peer("camera_detector", [*arguments, "-r", "image:=/cam/image_raw"], tmp_path / "log") as (_, peer):
        publisher = peer.node.create_publisher(CompressedImage, "/cam/image_raw/compressed", 10)
        answers, diagnostics = peer.listen(Detection2DArray, "detections"), Diagnostics(peer)
        peer.wait(publisher.get_subscription_count)
        peer.spin(0.6)
        picture = np.zeros((240, 320, 3), np.uint8)
        picture[60:160, 50:150] = 255
        for number, (suffix, kind) in enumerate(((".jpg", "jpeg"), (".png", "png")), start=1):
            whole = cv2.imencode(suffix, picture)[1].tobytes()
            for data in (whole[: len(whole) // 2], b"", b"junk", whole):
                message = CompressedImage(format=f"bgr8; {kind} compressed bgr8")
                message.data.frombytes(data)
                publisher.publish(message)
                peer.spin(0.2)
            peer.wait(lambda count=number: len(answers) == count)
        assert all(a.detections[0].bbox.size_x == pytest.approx(100, abs=4) for a in answers)
        received, published, dropped, _ = ledger(diagnostics.next("camera")[2])
        assert (received, published, dropped["malformed"]) == (8, 2, 6)


def test_services_answer_while_a_forward_pass_runs_and_old_frames_go_stale(tmp_path: Path) -> None:
    card = write_stub_card(tmp_path, delay=1.0)
    with node_and_peer("camera_detector", parameters(card), tmp_path / "log") as (_, peer):
        camera, diagnostics = Camera(peer).ready(), Diagnostics(peer)
        peer.get(NODE, "model")  # discovery of the service takes its time once
        stamps = []
        slowest = 0.0
        for _ in range(20):
            stamps.append(camera.send())
            started = time.monotonic()
            peer.get(NODE, "model")
            slowest = max(slowest, time.monotonic() - started)
        assert slowest < 0.8, "a request waited for the forward pass"
        camera.answer(stamps[-1])
        received, published, dropped, _ = ledger(diagnostics.until("camera", lambda *s: ledger(s[2])[3] == 0)[2])
        assert received == 20
        assert dropped["stale"] == 20 - published > 0


def test_failing_backend_is_counted_and_survived(tmp_path: Path) -> None:
    # Warm-up takes passes 1 and 2; of those that follow every third fails.
    with node_and_peer("camera_detector", parameters(write_stub_card(tmp_path, fail_every=3)), tmp_path / "log") as (
        node,
        peer,
    ):
        camera, diagnostics = Camera(peer).ready(), Diagnostics(peer)
        for _ in range(9):
            camera.send()
            peer.spin(0.1)
        _, _, values = diagnostics.next("camera")
        received, published, dropped, _ = ledger(values)
        assert (received, published, dropped["failed"]) == (9, 6, 3)
        assert "dropped (failed)" in node.output()


def test_max_rate(tmp_path: Path) -> None:
    with node_and_peer("camera_detector", parameters(write_stub_card(tmp_path), max_rate=10.0), tmp_path / "log") as (
        _,
        peer,
    ):
        camera, diagnostics = Camera(peer).ready(), Diagnostics(peer)
        for _ in range(60):
            camera.send()
            peer.spin(0.02)
        received, published, dropped, _ = ledger(diagnostics.next("camera")[2])
        assert received == 60
        assert dropped["rate"] > 20
        assert published + dropped["rate"] == 60


def test_lifecycle_both_ways(tmp_path: Path) -> None:
    arguments = parameters(write_stub_card(tmp_path), autostart="false")
    with node_and_peer("camera_detector", arguments, tmp_path / "log") as (node, peer):
        diagnostics = Diagnostics(peer)
        info = peer.listen(VisionInfo, "vision_info", LATCHED)
        assert peer.state(NODE) == "unconfigured"
        assert not peer.change(NODE, "activate"), "not possible from unconfigured"
        assert node.alive()
        for version in (1, 2):
            assert peer.change(NODE, "configure")
            assert peer.state(NODE) == "inactive"
            assert peer.change(NODE, "activate")
            peer.wait(lambda version=version: info and info[-1].database_version == version)
            camera = Camera(peer).ready()
            assert len(camera.ask(box=(10, 10, 60, 60)).detections) == 1
            peer.node.destroy_publisher(camera.publisher)
            assert peer.change(NODE, "deactivate")
            assert peer.state(NODE) == "inactive"
            assert not peer.change(NODE, "deactivate")
            assert peer.change(NODE, "cleanup")
            assert peer.state(NODE) == "unconfigured"
            assert diagnostics.next("model")[2]["state"] == "unconfigured"


def test_error_in_configure_is_told_and_can_be_mended(tmp_path: Path) -> None:
    with node_and_peer("camera_detector", parameters(tmp_path / "nowhere"), tmp_path / "log") as (node, peer):
        _, message, values = Diagnostics(peer).until("model", lambda level, *_: level == 2)
        assert "nowhere" in message and values["state"] == "unconfigured"
        assert node.alive()
        assert peer.set(NODE, model=str(write_stub_card(tmp_path))).successful
        assert peer.change(NODE, "configure") and peer.change(NODE, "activate")
        assert len(Camera(peer).ready().ask(box=(10, 10, 60, 60)).detections) == 1


def test_two_cameras_in_one_model(tmp_path: Path) -> None:
    card = write_stub_card(tmp_path, delay=0.1)
    with node_and_peer("camera_detector", parameters(card, cameras="[front, rear]"), tmp_path / "log") as (_, peer):
        cameras = [Camera(peer, f"{name}/image", f"{name}/detections") for name in ("front", "rear")]
        diagnostics = Diagnostics(peer)
        labels = [peer.listen(LabelInfo, f"{name}/label_info", LATCHED) for name in ("front", "rear")]
        for camera in cameras:
            camera.ready()
        stamps = []
        # The front camera is ten times as fast; the rear one must not starve.
        for number in range(60):
            stamps.append(cameras[0].send(box=(10, 10, 60, 60)))
            if number % 10 == 0:
                rear = cameras[1].send(width=640, height=480, box=(200, 200, 400, 400))
            peer.spin(0.02)
        answer = cameras[1].answer(rear)
        assert answer.detections[0].bbox.center.position.x == pytest.approx(300, abs=3)
        cameras[0].answer(stamps[-1])
        received, published, _, _ = ledger(diagnostics.next("rear")[2])
        assert received == 6
        assert published >= 4, "on a busy machine a frame may go stale; a starved camera would lose most"
        assert ledger(diagnostics.next("front")[2])[0] == 60
        peer.wait(lambda: all(labels))


@pytest.mark.parametrize("offer", [ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
def test_qos_follows_the_publisher(tmp_path: Path, offer: ReliabilityPolicy) -> None:
    with node_and_peer("camera_detector", parameters(write_stub_card(tmp_path)), tmp_path / "log") as (_, peer):
        diagnostics = Diagnostics(peer)
        camera = Camera(peer, qos=QoSProfile(depth=5, reliability=offer)).ready()
        _, _, values = diagnostics.until("camera", lambda *s: s[2]["publishers"] == "1")
        assert values["reliability"] == offer.name.lower()
        for _ in range(5):
            camera.ask(box=(10, 10, 60, 60))
        assert values["frames lost before arrival"] == "0"


def test_frames_without_a_stamp_survive_the_change_to_reliable(tmp_path: Path) -> None:
    with node_and_peer("camera_detector", parameters(write_stub_card(tmp_path)), tmp_path / "log") as (_, peer):
        diagnostics = Diagnostics(peer)
        publisher = peer.node.create_publisher(Image, "image", 10)
        peer.wait(publisher.get_subscription_count)
        for _ in range(60):
            publisher.publish(bright_image(64, 48, None, 0))
            peer.spin(0.02)
        _, _, values = diagnostics.until("camera", lambda *s: s[2]["reliability"] == "reliable")
        received, _, _, _ = ledger(values)
        # The first ones may be sent before the match is complete on the other side; no later one may be missing.
        assert 50 <= received <= 60
        assert values["frames lost before arrival"] == "0"


def test_qos_mismatch_and_missing_publisher_are_said_once(tmp_path: Path) -> None:
    arguments = [
        *parameters(write_stub_card(tmp_path)),
        "-p",
        "qos_overrides./image.subscription.reliability:=reliable",
    ]
    with node_and_peer("camera_detector", arguments, tmp_path / "log") as (node, peer):
        diagnostics = Diagnostics(peer)
        _, message, _ = diagnostics.until("camera", lambda level, *_: level == 2)
        assert "no publisher on /image" in message
        camera = Camera(peer, qos=BEST_EFFORT)
        _, message, _ = diagnostics.until("camera", lambda level, message, _: "QoS mismatch" in message)
        assert "best effort" in message
        camera.send()
        peer.spin(2.0)
        assert not camera.answers
        assert node.output().count("QoS mismatch on /image") == 1
        assert node.output().count("no publisher on /image") == 1


def test_simulated_time(tmp_path: Path) -> None:
    from rosgraph_msgs.msg import Clock

    arguments = [*parameters(write_stub_card(tmp_path)), "-p", "use_sim_time:=true"]
    with node_and_peer("camera_detector", arguments, tmp_path / "log") as (_, peer):
        clock = peer.node.create_publisher(Clock, "/clock", 10)
        camera, diagnostics = Camera(peer).ready(), Diagnostics(peer)
        now = Clock()
        now.clock.sec = 5
        peer.wait(clock.get_subscription_count)
        clock.publish(now)
        peer.spin(0.3)
        camera.ask(box=(10, 10, 60, 60))  # stamped at simulated second 1
        _, _, values = diagnostics.next("camera")  # diagnostics go on while simulated time stands still
        assert float(values["newest detection age (s)"]) == pytest.approx(4.0, abs=0.01)
        assert float(values["transport p50 (ms)"]) == pytest.approx(4000, rel=0.01)


def test_namespace_and_remapping(tmp_path: Path) -> None:
    arguments = [*parameters(write_stub_card(tmp_path)), "-r", "__ns:=/robot1", "-r", "image:=/robot1/cam/image_raw"]
    with node_and_peer("camera_detector", arguments, tmp_path / "log") as (_, peer):
        camera = Camera(peer, "/robot1/cam/image_raw", "/robot1/detections").ready()
        assert len(camera.ask(box=(10, 10, 60, 60)).detections) == 1
        assert peer.state("/robot1/camera_detector") == "active"
        refused = peer.set("/robot1/camera_detector", cameras=["a"])
        assert "ros2 lifecycle set /robot1/camera_detector deactivate" in refused.reason, "it can be typed as it stands"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_node_while_its_model_loads(tmp_path: Path, how: signal.Signals) -> None:
    card = write_stub_card(tmp_path, load_delay=60)
    node = NodeProcess("camera_detector", parameters(card), next_domain(), tmp_path / "log")
    peer = Peer(node.domain)
    try:
        peer.wait(lambda: "camera_detector" in peer.node.get_node_names())
        peer.spin(1.0)
    finally:
        peer.close()
    assert node.stop(how, timeout=10) == 0
    assert "Traceback" not in node.output()


def test_impossible_parameter_at_start_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    for extra, reason in (({"device": "gpu"}, "expected auto, cpu or cuda:N"), ({"threads": "many"}, "threads")):
        node = NodeProcess("camera_detector", parameters(write_stub_card(tmp_path), **extra), 99, tmp_path / "log")
        assert node.process.wait(30) == 1
        assert reason in node.output()
        assert "Traceback" not in node.output()
