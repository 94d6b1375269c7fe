"""vision_msgs of ours and the released one must be the same on the wire: the same type hashes, the same bytes.

The hashes were computed once from the .msg text of vision_msgs 4.1.1, by rosidl and by rosbags, which agreed.
"""

import json
from pathlib import Path

import pytest

RELEASED = {
    "BoundingBox2D": "RIHS01_008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f",
    "BoundingBox2DArray": "RIHS01_2464e82838009386d371b523211c21c91d74d313fcdd6788223c531d621cf691",
    "BoundingBox3D": "RIHS01_bbb73a65c163d7f9bb29009c7bde9f7faa576bd2d23299c4511d19230dab4698",
    "BoundingBox3DArray": "RIHS01_a81938db9576b10c2eecd7c5a5da3eac496efd00221b25ed051dfbc81fb56da6",
    "Detection2D": "RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea",
    "Detection2DArray": "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "Detection3D": "RIHS01_ddd703be132ab0b69d33121f1bb034132bfbb3b0ac5f9fb1516005ba1c8a265b",
    "Detection3DArray": "RIHS01_793f5eab9595ac1c0da07873cc859db42eae51f0ee76056db8562515d830e018",
    "LabelInfo": "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783",
    "ObjectHypothesis": "RIHS01_51da43cec11c01957a64d1e05a24acd18aae7745ec30b74348ad5f6d634f7f90",
    "ObjectHypothesisWithPose": "RIHS01_41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc",
    "Point2D": "RIHS01_eab0e83f44ab4de92ceaf76dd7d0e7638f2bdd1d16ffbe16c7a136c48e407247",
    "Pose2D": "RIHS01_b0b5d1d7b4c20dd4fcde3ed1d4b289a919290572007d67a97043814db25d3648",
    "VisionClass": "RIHS01_1e4a11f0fed50b5623cb8ff26ca0e37952a48a9c074d16f804b44e9164c2037a",
    "VisionInfo": "RIHS01_95d3116a17484ad91c9a2686e1d54890bbfc3ff6c6a2de137738c4950d45d284",
}
DEFINITIONS = Path(__file__).resolve().parents[2] / "interfaces" / "vision_msgs" / "msg"


@pytest.fixture(scope="module")
def independent():
    """rosbags' reading of our .msg files: it shares no code with rosidl."""
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.EMPTY)
    jazzy = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    ours = {}
    for path in DEFINITIONS.glob("*.msg"):
        ours |= typesys.get_types_from_msg(path.read_text(encoding="utf-8"), f"vision_msgs/msg/{path.stem}")
    # rosbags knows vision_msgs of no distribution, and must not start to: only what ours stands on is taken from it.
    store.register({name: fields for name, fields in jazzy.fielddefs.items() if not name.startswith("vision_msgs/")})
    store.register(ours)
    return store


def test_every_definition_is_checked():
    assert {path.stem for path in DEFINITIONS.glob("*.msg")} == set(RELEASED)


@pytest.mark.parametrize("name", RELEASED)
def test_definition_has_the_released_hash(independent, name):
    assert independent.hash_rihs01(f"vision_msgs/msg/{name}") == RELEASED[name]


@pytest.mark.parametrize("name", RELEASED)
def test_installed_type_description_has_the_released_hash(name):
    index = pytest.importorskip("ament_index_python")
    share = Path(index.get_package_share_directory("vision_msgs"))
    described = json.loads((share / "msg" / f"{name}.json").read_text(encoding="utf-8"))
    hashes = {entry["type_name"]: entry["hash_string"] for entry in described["type_hashes"]}
    assert hashes[f"vision_msgs/msg/{name}"] == RELEASED[name]


def a_detection_2d(msg):
    detection = msg.Detection2D(id="7")
    detection.header.stamp.sec, detection.header.stamp.nanosec = 12, 345_678_901
    detection.header.frame_id = "front_optical"
    hypothesis = msg.ObjectHypothesisWithPose()
    hypothesis.hypothesis.class_id, hypothesis.hypothesis.score = "traffic light", 0.875
    hypothesis.pose.pose.position.z = -1.5
    hypothesis.pose.covariance[35] = 4.0
    detection.results = [hypothesis]
    detection.bbox.center.position.x, detection.bbox.center.position.y = 320.25, 240.5
    detection.bbox.center.theta = 0.1
    detection.bbox.size_x, detection.bbox.size_y = 64.0, 48.5
    return detection


def a_detection_3d(msg):
    detection = msg.Detection3D(id="")
    detection.header.frame_id = "lidar"
    detection.bbox.center.position.x = 9.0
    detection.bbox.center.orientation.w = 1.0
    detection.bbox.size.x, detection.bbox.size.y, detection.bbox.size.z = 4.2, 1.8, 1.5
    detection.results = [msg.ObjectHypothesisWithPose(), msg.ObjectHypothesisWithPose()]
    return detection


def messages(msg):
    two, three = a_detection_2d(msg), a_detection_3d(msg)
    return [
        msg.Detection2DArray(header=two.header, detections=[two, msg.Detection2D(), two]),
        msg.Detection2DArray(header=two.header),
        msg.Detection3DArray(header=three.header, detections=[three]),
        msg.BoundingBox2DArray(header=two.header, boxes=[two.bbox]),
        msg.BoundingBox3DArray(header=three.header, boxes=[three.bbox, three.bbox]),
        msg.LabelInfo(class_map=[msg.VisionClass(class_id=65535, class_name="Müll")], threshold=0.25),
        msg.VisionInfo(method="nanodet", database_location="label_info", database_version=-3),
    ]


def assert_same(ros, other):
    """Compares a rosidl message with rosbags' dataclass, field by field."""
    for field in ros.get_fields_and_field_types():
        left, right = getattr(ros, field), getattr(other, field)
        if hasattr(left, "get_fields_and_field_types"):
            assert_same(left, right)
        elif isinstance(left, list):
            assert len(left) == len(right)
            for one, another in zip(left, right, strict=True):
                assert_same(one, another)
        elif hasattr(left, "tolist"):
            assert left.tolist() == right.tolist()
        else:
            assert left == right, field


@pytest.mark.parametrize("index", range(7))
def test_cdr_round_trip_with_an_independent_implementation(independent, index):
    msg = pytest.importorskip("vision_msgs.msg")
    serialization = pytest.importorskip("rclpy.serialization")
    message = messages(msg)[index]
    name = f"vision_msgs/msg/{type(message).__name__}"

    wire = serialization.serialize_message(message)
    read = independent.deserialize_cdr(wire, name)
    assert_same(message, read)

    written = bytes(independent.serialize_cdr(read, name))
    # Bytes skipped for alignment are not initialized, and a stream may be padded to a multiple of four.
    assert 0 <= len(wire) - len(written) < 4
    assert serialization.deserialize_message(written, type(message)) == message
