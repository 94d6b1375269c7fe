"""The bridges of Gazebo against ros_gz's pairs of types, the topics that the robot's SDF makes, and our simulator."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from robot_ai.bringup.gazebo import BRIDGES

ROOT = Path(__file__).resolve().parents[2]
ROBOT = ROOT / "worlds" / "models" / "robot" / "model.sdf"
PAIRS = yaml.safe_load((Path(__file__).with_name("gazebo_types.yaml")).read_text(encoding="utf-8"))
KEYS = {
    "ros_topic_name",
    "gz_topic_name",
    "ros_type_name",
    "gz_type_name",
    "direction",
    "lazy",
    "publisher_queue",
    "subscriber_queue",
}


def entries(*bridges: str) -> list[dict]:
    return [
        entry
        for name in bridges or BRIDGES
        for entry in yaml.safe_load((ROOT / BRIDGES[name]).read_text(encoding="utf-8"))
    ]


def made_by_gazebo() -> dict[str, tuple[str, str]]:
    """The topics of the robot's sensors and drive as gz-sensors 8 and gz-sim 8 make them: {name: (type, direction)}.

    Only what a sensor is for: a gpu_lidar sends its scan on <topic> and its cloud on <topic>/points.
    """
    topics = {"/clock": ("gz.msgs.Clock", "GZ_TO_ROS")}  # by gz-sim itself
    model = ET.parse(ROBOT).getroot().find("model")
    for sensor in model.iter("sensor"):
        topic = sensor.findtext("topic")
        if sensor.get("type") == "camera":
            topics[topic] = ("gz.msgs.Image", "GZ_TO_ROS")
            topics[f"{topic.rpartition('/')[0]}/camera_info"] = ("gz.msgs.CameraInfo", "GZ_TO_ROS")
        elif sensor.get("type") == "gpu_lidar":
            rings = int(sensor.findtext("lidar/scan/vertical/samples", "1"))
            kind = ("gz.msgs.LaserScan", "") if rings == 1 else ("gz.msgs.PointCloudPacked", "/points")
            topics[topic + kind[1]] = (kind[0], "GZ_TO_ROS")
        elif sensor.get("type") == "imu":
            topics[topic] = ("gz.msgs.IMU", "GZ_TO_ROS")
    (drive,) = [plugin for plugin in model.iter("plugin") if plugin.get("name") == "gz::sim::systems::DiffDrive"]
    topics[drive.findtext("topic")] = ("gz.msgs.Twist", "ROS_TO_GZ")
    topics[drive.findtext("odom_topic")] = ("gz.msgs.Odometry", "GZ_TO_ROS")
    topics[drive.findtext("tf_topic")] = ("gz.msgs.Pose_V", "GZ_TO_ROS")
    return topics


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry["ros_topic_name"])
def test_an_entry_is_one_that_the_bridge_can_read(entry):
    assert set(entry) <= KEYS
    assert entry["gz_type_name"] in PAIRS[entry["ros_type_name"]]
    assert entry["direction"] in ("GZ_TO_ROS", "ROS_TO_GZ")


def test_exactly_what_the_robot_makes_is_bridged():
    bridged = {entry["gz_topic_name"]: (entry["gz_type_name"], entry["direction"]) for entry in entries()}
    assert bridged == made_by_gazebo()
    assert len(entries()) == len(bridged)


def test_clock_and_camera_have_bridges_of_their_own():
    assert [entry["ros_topic_name"] for entry in entries("clock")] == ["/clock"]
    assert {entry["ros_topic_name"] for entry in entries("camera")} == {"camera/image_raw", "camera/camera_info"}
    assert not {"/clock", "camera/image_raw"} & {entry["ros_topic_name"] for entry in entries("sensors")}


def test_all_but_the_clock_follow_the_namespace():
    for entry in entries("sensors", "camera"):
        assert entry["ros_topic_name"] == entry["gz_topic_name"]
        assert not entry["ros_topic_name"].startswith("/")


def test_messages_are_in_frames_of_the_robot():
    model = ET.parse(ROBOT).getroot().find("model")
    links = {link.get("name") for link in model.findall("link")}
    for link in model.findall("link"):
        for sensor in link.findall("sensor"):
            frame = sensor.findtext("gz_frame_id")
            assert frame in links
            assert frame == ("camera_optical_frame" if sensor.get("type") == "camera" else link.get("name"))
    drive = model.find("plugin")
    assert drive.findtext("child_frame_id") in links
    assert drive.findtext("frame_id") == "odom"


@pytest.mark.parametrize("world", ["room", "street"])
def test_the_world_runs_the_systems_that_the_robot_needs(world):
    plugins = ET.parse(ROOT / "worlds" / f"{world}.sdf").getroot().findall("world/plugin")
    named = {plugin.get("filename"): plugin.get("name") for plugin in plugins}
    assert named == {
        "gz-sim-physics-system": "gz::sim::systems::Physics",
        "gz-sim-user-commands-system": "gz::sim::systems::UserCommands",
        "gz-sim-scene-broadcaster-system": "gz::sim::systems::SceneBroadcaster",
        "gz-sim-sensors-system": "gz::sim::systems::Sensors",
        "gz-sim-imu-system": "gz::sim::systems::Imu",
    }
    (engine,) = [plugin.findtext("render_engine") for plugin in plugins if plugin.find("render_engine") is not None]
    assert engine == "ogre2"


def test_the_embedded_simulator_has_the_same_topics(tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS (extra ros)")
    pytest.importorskip("mujoco", reason="needs MuJoCo (extra simulation)")
    from ros_harness import node_and_peer

    own = {"/diagnostics", "/parameter_events", "/rosout", "/tf_static"}
    arguments = ["-p", "renderer:=rays"]
    with node_and_peer("simulator", arguments, tmp_path / "log") as (_, peer):

        def topics() -> dict[str, list[str]]:
            found = peer.node.get_publisher_names_and_types_by_node("simulator", "/")
            found += peer.node.get_subscriber_names_and_types_by_node("simulator", "/")
            return {name: types for name, types in found if name not in own and "ground_truth" not in name}

        peer.wait(lambda: "simulator" in peer.node.get_node_names() and "/scan" in topics(), 90)
        peer.spin(1.0)
        seen = {name: types for name, types in topics().items() if not name.startswith("/simulator/")}
    bridged = {"/" + entry["ros_topic_name"].lstrip("/"): [entry["ros_type_name"]] for entry in entries()}
    assert seen == bridged
