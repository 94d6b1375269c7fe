"""The table of nodes: its rows exist, and a member started without launch is where the table says."""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rclpy.parameter import get_parameter_value
from ros_harness import NodeProcess, Peer, bright_image, next_domain
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray

from robot_ai.bringup.table import (
    CAMERA,
    EXECUTABLES,
    GUARDED,
    LIDAR,
    OWN_TF,
    PERCEPTION,
    ROBOT,
    SIMULATION,
    SIMULATOR,
    TOPICS,
    Executable,
    Member,
    default_name,
)
from robot_ai.ros.parameter_spec import specs_of
from robot_ai.share import share_file

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = {member.role: member for member in (*SIMULATION, *ROBOT)}


@pytest.mark.parametrize("executable", EXECUTABLES.values(), ids=EXECUTABLES)
def test_every_executable_is_installed_with_its_parameters(executable: Executable) -> None:
    assert (ROOT / "robot_ai" / "nodes" / f"{executable.name}.py").is_file()
    assert f'"{executable.name} = robot_ai.nodes.starting:{executable.name}"' in (ROOT / "setup.py").read_text()
    assert "autostart" in specs_of(executable.parameters)


@pytest.mark.parametrize("executable", EXECUTABLES.values(), ids=EXECUTABLES)
def test_choices_are_the_same_text_in_yaml(executable: Executable) -> None:
    """`ros2 param set` and `ros2 param load` read each value as YAML, where off, no and 3 are no strings."""
    choices = {choice for spec in executable.specs.values() for choice in spec.choices}
    read = {choice: get_parameter_value(choice) for choice in choices}
    assert {choice: value.string_value for choice, value in read.items()} == {choice: choice for choice in choices}


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS)
def test_every_member_has_a_file_that_its_node_knows(member: Member) -> None:
    content = yaml.safe_load(share_file(member.executable.config).read_text())
    given = {name for section in content.values() for name in section["ros__parameters"]}
    assert given | set(member.parameters) <= set(member.executable.specs)
    assert set(member.executable.topics) <= set(member.topics), "a topic that other nodes name has no place here"


def test_topics_meet() -> None:
    """What is heard is said by another member, or comes from the robot's sensors."""
    sensors = {"image", "camera_info", "points", "scan", "twist", "odom", "cmd_vel", "motors"}
    outputs = {"detections", "detections_fused", "label_info"}
    said = {topic for m in PERCEPTION for own, topic in m.topics.items() if own in outputs}
    for member in ROBOT:
        heard = {topic for own, topic in member.topics.items() if own in member.executable.topics}
        assert heard <= sensors | said


def test_names_that_are_given_win() -> None:
    assert ("image", "/front/image_raw") in CAMERA.remappings({"image": "/front/image_raw"})
    assert ("image", "camera/image_raw") in CAMERA.remappings({})
    assert ("odom", "/base/odometry") in LIDAR.remappings({"odom": "/base/odometry"})
    assert {("odom", "odom"), ("twist", "twist")} <= set(LIDAR.remappings({}))
    assert ("cmd_vel", "cmd_vel") in SIMULATOR.remappings({})
    assert ("cmd_vel", "mcu/motors") in SIMULATOR.remappings(GUARDED)
    assert set(OWN_TF) <= set(CAMERA.remappings({}, own_tf=True))
    assert not set(OWN_TF) & set(CAMERA.remappings({}))
    assert default_name("camera/label_info") == "camera/label_info"
    assert all(default_name(name) == topic.default for name, topic in TOPICS.items())


def test_a_member_without_launch(tmp_path: Path, stub_card: Callable[..., Path]) -> None:
    overlay = tmp_path / "robot.yaml"
    overlay.write_text("/**:\n  ros__parameters:\n    max_detections: 7\n    max_rate: 11.0\n")
    arguments = CAMERA.ros_arguments(
        namespace="robot1",
        names={"image": "/front/image_raw"},
        parameters={"backend": "stub", "model": stub_card(), "class_filter": ["bright"], "max_rate": 20.0},
        params_files=[overlay],
    )
    assert arguments[0] == "--ros-args"
    domain = next_domain()
    node, peer = NodeProcess("camera_detector", arguments[1:], domain, tmp_path / "log"), Peer(domain)
    try:
        answers = peer.listen(Detection2DArray, "/robot1/camera/detections")
        images = peer.node.create_publisher(Image, "/front/image_raw", 5)
        image = bright_image(320, 240, (50, 60, 150, 160), 1)
        peer.node.create_timer(0.1, lambda: images.publish(image))
        peer.wait(lambda: answers, 30)
        assert answers[0].detections[0].results[0].hypothesis.class_id == "bright"
        values = [peer.get("/robot1/camera_detector", name) for name in ("max_detections", "max_rate", "class_filter")]
        assert values == [7, 20.0, ["bright"]]
    finally:
        peer.close()
        code = node.stop()
    assert code == 0, node.output()


def test_the_module_docstrings_command_is_true() -> None:
    """`python -m module` must run main: each node ends with that."""
    for executable in EXECUTABLES.values():
        text = (ROOT / "robot_ai" / "nodes" / f"{executable.name}.py").read_text()
        assert re.search(r'if __name__ == "__main__":\n    raise SystemExit\(main\(\)\)', text)


def test_colcon_puts_executables_where_launch_looks() -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    assert config["install"]["install_scripts"] == config["develop"]["script_dir"] == "$base/lib/robot_ai"
