"""tf2_msgs of ours and the released one must be the same on the wire.

The hashes are what Jazzy systems report (`ros2 topic info -v /tf`, rosbag2 metadata); rosbags, which shares no code
with rosidl, computes them again from our text.
"""

import json
from pathlib import Path

import pytest

RELEASED = {
    "TFMessage": "RIHS01_e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
    "TF2Error": "RIHS01_db2485e7d6a0ec75bf087e058ee45df682acc3a621ca7780503d10aac141809a",
}
DEFINITIONS = Path(__file__).resolve().parents[2] / "interfaces" / "tf2_msgs" / "msg"


@pytest.fixture(scope="module")
def independent():
    """rosbags' reading of our .msg files, on its own geometry_msgs of Jazzy."""
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    jazzy = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    store.register({name: fields for name, fields in jazzy.fielddefs.items() if not name.startswith("tf2_msgs/")})
    for path in DEFINITIONS.glob("*.msg"):
        store.register(typesys.get_types_from_msg(path.read_text(encoding="utf-8"), f"tf2_msgs/msg/{path.stem}"))
    return store


def test_every_definition_is_checked():
    assert {path.stem for path in DEFINITIONS.glob("*.msg")} == set(RELEASED)


@pytest.mark.parametrize("name", RELEASED)
def test_definition_has_the_released_hash(independent, name):
    assert independent.hash_rihs01(f"tf2_msgs/msg/{name}") == RELEASED[name]


@pytest.mark.parametrize("name", RELEASED)
def test_installed_type_description_has_the_released_hash(name):
    index = pytest.importorskip("ament_index_python")
    share = Path(index.get_package_share_directory("tf2_msgs"))
    described = json.loads((share / "msg" / f"{name}.json").read_text(encoding="utf-8"))
    hashes = {entry["type_name"]: entry["hash_string"] for entry in described["type_hashes"]}
    assert hashes[f"tf2_msgs/msg/{name}"] == RELEASED[name]


def test_cdr_round_trip_with_an_independent_implementation(independent):
    tf2 = pytest.importorskip("tf2_msgs.msg")
    geometry = pytest.importorskip("geometry_msgs.msg")
    serialization = pytest.importorskip("rclpy.serialization")
    transform = geometry.TransformStamped(child_frame_id="lidar")
    transform.header.frame_id = "base_link"
    transform.header.stamp.sec, transform.header.stamp.nanosec = 12, 345_678_901
    transform.transform.translation.x, transform.transform.rotation.z = 1.25, -0.5
    message = tf2.TFMessage(transforms=[transform, geometry.TransformStamped()])
    wire = serialization.serialize_message(message)
    read = independent.deserialize_cdr(wire, "tf2_msgs/msg/TFMessage")
    assert read.transforms[0].header.frame_id == "base_link"
    assert read.transforms[0].child_frame_id == "lidar"
    assert read.transforms[0].header.stamp.nanosec == 345_678_901
    assert (read.transforms[0].transform.translation.x, read.transforms[0].transform.rotation.z) == (1.25, -0.5)
    written = bytes(independent.serialize_cdr(read, "tf2_msgs/msg/TFMessage"))
    assert serialization.deserialize_message(written, tf2.TFMessage) == message
