"""Recording and replay as a user does it: real nodes, real topics, a real detector that answers the same twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from builtin_interfaces.msg import Time
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import serialize_message
from ros_harness import next_domain, node_and_peer
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from vision_msgs.msg import Detection2DArray

from robot_ai.bags.files import BagReader, BagWriter, Recorded, Topic
from robot_ai.ros.images import bgr_to_image

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def start(domain: int, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "robot_ai.cli.main", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"},
    )


def write_photos(path: Path, photos: dict[str, Any]) -> int:
    topic = Topic("/image", "sensor_msgs/msg/Image")
    with BagWriter(path) as bag:
        bag.add_topic(topic)
        for index, image in enumerate([*photos.values()] * 2):
            stamp = Time(sec=100, nanosec=index * 33_000_000)
            small = cv2.resize(np.asarray(image), (320, 240))
            message = bgr_to_image(small, Header(frame_id="camera", stamp=stamp))
            bag.write(Recorded(topic, index * 33_000_000, bytes(serialize_message(message))))
    return 2 * len(photos)


def test_a_replay_through_the_detector_gives_the_same_twice(tmp_path: Path, photos: dict[str, Any]) -> None:
    count = write_photos(tmp_path / "bag", photos)
    with node_and_peer("camera_detector", ["-p", "threads:=1"], tmp_path / "log") as (node, peer):
        peer.wait(lambda: peer.node.count_publishers("detections"), 60)
        runs = []
        for _ in range(2):
            heard = peer.listen(Detection2DArray, "detections", 100)
            replay = start(node.domain, "replay", tmp_path / "bag", "--rate", 0, "--in-step", "image=detections")
            peer.wait(lambda replay=replay: replay.poll() is not None, 60)
            assert replay.returncode == 0, replay.communicate()[0]
            peer.wait(lambda heard=heard: len(heard) >= count)
            runs.append(heard[:count])
        assert runs[0] == runs[1]
        assert len(runs[0]) == count
        assert any(message.detections for message in heard)


def test_record_and_replay_keep_messages_order_and_latching(tmp_path: Path) -> None:
    with node_and_peer("image_source", ["-p", f"source:={tmp_path}", "-p", "autostart:=false"], tmp_path / "log") as (
        node, peer,
    ):  # fmt: skip
        images = peer.node.create_publisher(Image, "image", 10)
        name = peer.node.create_publisher(String, "map_name", LATCHED)
        name.publish(String(data="room"))
        recorder = start(node.domain, "record", tmp_path / "bag", "--topics", "/image", "map_.*")
        peer.wait(lambda: images.get_subscription_count() and name.get_subscription_count())
        for number in range(10):
            images.publish(bgr_to_image(np.full((4, 4, 3), number, np.uint8), Header(frame_id=str(number))))
            peer.spin(0.05)
        recorder.send_signal(signal.SIGINT)
        output, _ = recorder.communicate(timeout=20)
        assert recorder.returncode == 0, output
        assert "11 messages" in output
        with BagReader(tmp_path / "bag") as bag:
            assert bag.topics["/map_name"].latched
            assert sorted(bag.topics) == ["/image", "/map_name"]

        heard = peer.listen(Image, "image", 100)
        names = peer.listen(String, "map_name", LATCHED)
        began = time.monotonic()
        replay = start(node.domain, "replay", tmp_path / "bag", "--rate", 2)
        peer.wait(lambda: replay.poll() is not None, 30)
        assert replay.returncode == 0, replay.communicate()[0]
        peer.wait(lambda: len(heard) >= 10)
        assert [message.header.frame_id for message in heard] == [str(number) for number in range(10)]
        assert {message.data for message in names} == {"room"}
        assert time.monotonic() - began > 0.2


@pytest.mark.timeout(300)
def test_faults_are_one_line(tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        process = start(next_domain(), *arguments)
        output, _ = process.communicate(timeout=100)
        assert process.returncode == 1
        assert "Traceback" not in output
        return output

    write_photos(tmp_path / "bag", {"black": np.zeros((4, 4, 3), np.uint8)})
    faults: list[tuple[Callable[[], str], str]] = [
        (lambda: refused("replay", tmp_path / "none"), "expected the directory of a rosbag2 recording"),
        (lambda: refused("replay", tmp_path / "bag", "--topics", "/x"), "nothing was recorded of /x"),
        (lambda: refused("replay", tmp_path / "bag", "--in-step", "image"), "expected TOPIC=ANSWERS"),
        (
            lambda: refused("replay", tmp_path / "bag", "--in-step", "image=found", "--wait-for", 0.5),
            "nobody publishes on /found",
        ),
    ]
    for ask, said in faults:
        assert said in ask()
