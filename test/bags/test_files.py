"""Recordings: what is written is read back, by this package and by others."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

from robot_ai.bags.errors import BagError, MessageDefinitionError
from robot_ai.bags.files import BagReader, BagWriter, Recorded, Topic

DETECTIONS = Topic("/detections", "vision_msgs/msg/Detection2DArray")
LATCHED = Topic("/map_name", "std_msgs/msg/String", latched=True)


def detections(x: float) -> bytes:
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id = "person"
    found = Detection2D(results=[result], id="7")
    found.bbox.center.position.x = x
    return bytes(serialize_message(Detection2DArray(detections=[found])))


def string(text: str) -> bytes:
    raw = text.encode() + b"\0"
    return b"\x00\x01\x00\x00" + struct.pack("<I", len(raw)) + raw


def write(path: Path) -> list[Recorded]:
    messages = [Recorded(LATCHED, 10, string("room"))]
    messages += [Recorded(DETECTIONS, 20 + i, detections(float(i))) for i in range(5)]
    with BagWriter(path) as bag:
        for topic in (DETECTIONS, LATCHED):
            bag.add_topic(topic)
        for message in messages:
            bag.write(message)
        assert bag.counts == {"/detections": 5, "/map_name": 1}
    return messages


def test_what_is_written_is_read_back_in_order(tmp_path: Path) -> None:
    written = write(tmp_path / "bag")
    with BagReader(tmp_path / "bag") as bag:
        assert bag.topics == {"/detections": DETECTIONS, "/map_name": LATCHED}
        assert list(bag.messages()) == written
        assert [m.time for m in bag.messages(["/map_name"])] == [10]
        assert list(bag.messages(["/nothing"])) == []
        assert bag.duration == pytest.approx(14e-9)
    assert (tmp_path / "bag" / "metadata.yaml").is_file()
    assert list((tmp_path / "bag").glob("*.mcap"))


def test_others_understand_it_by_the_definitions_in_it(tmp_path: Path) -> None:
    """rosbags' reader with a type store that does not know vision_msgs."""
    write(tmp_path / "bag")
    with AnyReader([tmp_path / "bag"], default_typestore=get_typestore(Stores.EMPTY)) as reader:
        read = [
            reader.deserialize(raw, connection.msgtype)
            for connection, _, raw in reader.messages()
            if connection.topic == "/detections"
        ]
    assert [message.detections[0].bbox.center.position.x for message in read] == [0, 1, 2, 3, 4]


@settings(max_examples=20)
@given(st.floats(allow_nan=False), st.integers(0, 2**62))
def test_a_message_comes_back_bit_by_bit(tmp_path_factory: pytest.TempPathFactory, x: float, time: int) -> None:
    path = tmp_path_factory.mktemp("any") / "bag"
    with BagWriter(path) as bag:
        bag.add_topic(DETECTIONS)
        bag.write(Recorded(DETECTIONS, time, detections(x)))
    with BagReader(path) as bag:
        (message,) = bag.messages()
    assert message.time == time
    assert deserialize_message(message.cdr, Detection2DArray).detections[0].bbox.center.position.x == x


def test_faults_are_told(tmp_path: Path) -> None:
    write(tmp_path / "bag")
    with pytest.raises(BagError, match="is there already"):
        BagWriter(tmp_path / "bag")
    with pytest.raises(BagError, match="expected the directory of a rosbag2 recording"):
        BagReader(tmp_path / "nothing")
    with BagWriter(tmp_path / "other") as bag, pytest.raises(MessageDefinitionError, match="no_such_msgs"):
        bag.add_topic(Topic("/x", "no_such_msgs/msg/Thing"))
    (file,) = (tmp_path / "bag").glob("*.mcap")
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(BagError), BagReader(tmp_path / "bag") as bag:
        list(bag.messages())
