"""image_source as others see it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from ros_harness import Peer, node_and_peer
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

NODE = "/image_source"
COLORS = {"a_red.png": (0, 0, 255), "b_green.png": (0, 255, 0), "c_blue.png": (255, 0, 0)}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, color in COLORS.items():
        cv2.imwrite(str(folder / name), np.full((48, 64, 3), color, np.uint8))
    (folder / "notes.txt").write_text("not a photo")
    return folder


def arguments(source: Path, **values: object) -> list[str]:
    given = {"source": source, "rate": 20.0, "wait_for_subscriber": "true", **values}
    return [word for name, value in given.items() for word in ("-p", f"{name}:={value}")]


def listen(peer: Peer, count: int) -> tuple[list[Image], list[Header], list[CameraInfo]]:
    names, infos = peer.listen(Header, "image_name"), peer.listen(CameraInfo, "camera_info")
    images = peer.listen(Image, "image")
    peer.wait(lambda: len(images) >= count)
    return images, names, infos


def test_photos_come_in_order_with_names_and_camera_info(photos: Path, tmp_path: Path) -> None:
    with node_and_peer("image_source", arguments(photos), tmp_path / "log") as (_, peer):
        images, names, infos = listen(peer, 6)
        by_stamp = {(n.stamp.sec, n.stamp.nanosec): n.frame_id for n in names}
        for image in images[1:5]:  # the first may come before the other topics are matched
            name = by_stamp[image.header.stamp.sec, image.header.stamp.nanosec]
            assert tuple(image.data[:3]) == COLORS[name]
            assert (image.width, image.height, image.encoding, image.step) == (64, 48, "bgr8", 192)
            assert image.header.frame_id == "camera_optical_frame"
        order = [n.frame_id for n in names]
        start = list(COLORS).index(order[0])
        assert order[:4] == [list(COLORS)[(start + i) % 3] for i in range(4)]
        info = infos[-1]
        assert (info.width, info.height, info.k[2], info.k[5]) == (64, 48, 32.0, 24.0)
        # 1.047 rad across 64 pixels: f = 32 / tan(0.5235)
        assert info.k[0] == pytest.approx(55.43, abs=0.05)


def test_encoding_padding_and_size(photos: Path, tmp_path: Path) -> None:
    extra = {"encoding": "rgb8", "step_padding": 10, "width": 32, "height": 16}
    with node_and_peer("image_source", arguments(photos, **extra), tmp_path / "log") as (_, peer):
        images, _, _ = listen(peer, 3)
        image = images[0]
        assert (image.width, image.height, image.encoding, image.step) == (32, 16, "rgb8", 106)
        rows = np.frombuffer(image.data, np.uint8).reshape(16, 106)
        assert (rows[:, 96:] == 0).all()
        assert {tuple(i.data[:3]) for i in images} <= {color[::-1] for color in COLORS.values()}


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_compressed(photos: Path, tmp_path: Path, kind: str) -> None:
    extra = {"image_transport": "compressed", "compressed_format": kind}
    with node_and_peer("image_source", arguments(photos, **extra), tmp_path / "log") as (_, peer):
        images = peer.listen(CompressedImage, "image/compressed")
        peer.wait(lambda: len(images) >= 3)
        assert images[0].format == f"bgr8; {kind} compressed bgr8"
        decoded = cv2.imdecode(np.frombuffer(images[0].data, np.uint8), cv2.IMREAD_COLOR)
        assert decoded.shape == (48, 64, 3)


def test_without_loop_it_ends_after_the_last_photo_and_lives(photos: Path, tmp_path: Path) -> None:
    with node_and_peer("image_source", arguments(photos, loop="false"), tmp_path / "log") as (node, peer):
        images = peer.listen(Image, "image")
        peer.wait(lambda: "the source has ended after 3 frames" in node.output())
        peer.spin(0.5)
        assert len(images) <= 3
        assert peer.state(NODE) == "active"


def test_a_missing_source_is_told_and_can_be_mended(photos: Path, tmp_path: Path) -> None:
    with node_and_peer("image_source", arguments(tmp_path / "nowhere"), tmp_path / "log") as (node, peer):
        assert peer.state(NODE) == "unconfigured"
        assert "nowhere does not exist" in node.output()
        assert peer.set(NODE, source=str(photos)).successful
        assert peer.change(NODE, "configure") and peer.change(NODE, "activate")
        images, _, _ = listen(peer, 1)
        assert images
        assert not peer.set(NODE, width=100).successful, "fixed while configured"
        assert peer.set(NODE, rate=50).successful


def test_an_impatient_ctrl_c_ends_it_as_cleanly_as_one(photos: Path, tmp_path: Path) -> None:
    with node_and_peer("image_source", arguments(photos), tmp_path / "log") as (node, peer):
        listen(peer, 1)
        while node.alive():
            node.process.send_signal(signal.SIGINT)
            time.sleep(0.002)
        assert node.process.returncode == 0
