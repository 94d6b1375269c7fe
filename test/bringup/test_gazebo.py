"""What Gazebo's launch file takes from SDF: frames, topics in a namespace, and whether a world has its robot."""

from pathlib import Path

import numpy as np
import pytest

from robot_ai.bringup.gazebo import (
    REQUIRED,
    MissingGazeboError,
    RobotFileError,
    check_installed,
    has_model,
    models_directory,
    robot_text,
    static_frames,
    transform_arguments,
)

WORLDS = Path(__file__).resolve().parents[2] / "worlds"
ROBOT = WORLDS / "models" / "robot" / "model.sdf"


def test_frames_are_those_that_fixed_joints_hold():
    frames = {frame.child: frame for frame in static_frames(ROBOT)}
    assert set(frames) >= {"camera_link", "camera_optical_frame", "lidar_link", "scan_link", "imu_link"}
    assert not {"left_wheel", "right_wheel", "base_link"} & set(frames)
    assert {frame.parent for frame in frames.values()} == {"base_link"}
    assert frames["lidar_link"].pose.translation == pytest.approx([-0.10, 0, 1.0])


def test_the_optical_frame_looks_ahead():
    (optical,) = [frame for frame in static_frames(ROBOT) if frame.child == "camera_optical_frame"]
    ahead, right, down = np.eye(3)[2], np.eye(3)[0], np.eye(3)[1]
    assert optical.pose.rotation @ ahead == pytest.approx([1, 0, 0])
    assert optical.pose.rotation @ right == pytest.approx([0, -1, 0])
    assert optical.pose.rotation @ down == pytest.approx([0, 0, -1])
    words = transform_arguments(optical)
    assert dict(zip(words[:-4:2], map(float, words[1:-4:2]), strict=True)) == pytest.approx(
        {"--x": -0.05, "--y": 0, "--z": 0.85, "--qx": -0.5, "--qy": 0.5, "--qz": -0.5, "--qw": 0.5}
    )
    assert words[-4:] == ["--frame-id", "base_link", "--child-frame-id", "camera_optical_frame"]


@pytest.mark.parametrize("world", ["room", "street"])
def test_our_worlds_have_their_robot(world):
    assert has_model(WORLDS / f"{world}.sdf", "robot")
    assert not has_model(WORLDS / f"{world}.sdf", "robot2")


def test_models_are_found_by_name_too(tmp_path):
    file = tmp_path / "world.sdf"
    file.write_text(
        '<sdf version="1.9"><world name="w"><model name="cart"/>'
        "<include><uri>model://robot/</uri><name>scout</name></include>"
        "<include><uri>model://robot/</uri></include></world></sdf>"
    )
    assert [has_model(file, name) for name in ("cart", "scout", "robot", "sofa")] == [True, True, True, False]


def test_in_a_namespace_every_topic_lies_below_it():
    text = robot_text(ROBOT, "/robot2/")
    topics = sorted(
        part.partition("<")[0] for tag in ("topic>", "odom_topic>", "tf_topic>") for part in text.split(f"<{tag}")[1:]
    )
    assert topics == sorted(
        f"/robot2/{name}" for name in ("camera/image_raw", "lidar", "scan", "imu", "cmd_vel", "odom", "tf")
    )
    assert "<gz_frame_id>lidar_link<" in text
    assert "/robot2" not in robot_text(ROBOT, "")


def test_what_cannot_be_read_is_told(tmp_path):
    with pytest.raises(RobotFileError, match=r"missing\.sdf"):
        has_model(tmp_path / "missing.sdf", "robot")
    broken = tmp_path / "broken.sdf"
    broken.write_text("<sdf><model>")
    with pytest.raises(RobotFileError, match=r"broken\.sdf"):
        robot_text(broken, "")
    baseless = tmp_path / "baseless.sdf"
    baseless.write_text('<sdf version="1.9"><model name="m"><link name="body"/></model></sdf>')
    with pytest.raises(RobotFileError, match=r"'base_link'.*body"):
        static_frames(baseless)


def test_the_models_are_found():
    assert (models_directory() / "robot" / "model.sdf").is_file()


def test_what_is_missing_is_named_with_the_way_to_install_it():
    check_installed({"rclpy", *REQUIRED})
    with pytest.raises(MissingGazeboError, match="ros_gz_bridge, tf2_ros missing: sudo apt install ros-jazzy-ros-gz"):
        check_installed({"ros_gz_sim"})
