"""gazebo.launch.py by the real launch. Gazebo is on no registry: stand-ins tell what they were started with."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ament_index_python.packages import get_packages_with_prefixes
from launch_rig import PATIENCE, needs_launch

SHARE = needs_launch()
if shutil.which("ros2") is None:
    pytest.skip("needs ros2 launch", allow_module_level=True)

EXECUTABLES = {
    "ros_gz_sim": "create",
    "ros_gz_bridge": "parameter_bridge",
    "tf2_ros": "static_transform_publisher",
}
EXECUTABLE = """#!/usr/bin/env python3
import json, os, signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
with open(os.environ["STAND_IN_LOG"], "a") as log:
    log.write(json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]) + "\\n")
if not sys.argv[0].endswith("create"):
    signal.pause()
"""
GZ_SIM = """
import json, os
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
def tell(context):
    with open(os.environ["STAND_IN_LOG"], "a") as log:
        given = [context.launch_configurations["gz_args"], os.environ["GZ_SIM_RESOURCE_PATH"]]
        log.write(json.dumps(["gz", *given]) + "\\n")
def generate_launch_description():
    return LaunchDescription([DeclareLaunchArgument("gz_args", default_value=""), OpaqueFunction(function=tell)])
"""
OFF = ("camera:=false", "lidar:=false", "fusion:=false")


def launch(folder: Path, *arguments: str, processes: int) -> list[list[str]]:
    """What was started, once there are so many lines; the launch must end by Ctrl-C."""
    prefix, log = folder / "prefix", folder / "log"
    index = prefix / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    for package, executable in EXECUTABLES.items():
        (index / package).touch()
        (prefix / "share" / package / "launch").mkdir(parents=True)
        (prefix / "lib" / package).mkdir(parents=True)
        script = prefix / "lib" / package / executable
        script.write_text(EXECUTABLE)
        script.chmod(0o755)
    (prefix / "share" / "ros_gz_sim" / "launch" / "gz_sim.launch.py").write_text(GZ_SIM)
    path = os.pathsep.join([str(prefix), os.environ["AMENT_PREFIX_PATH"]])
    log.touch()
    process = subprocess.Popen(
        ["ros2", "launch", "robot_ai", "gazebo.launch.py", *OFF, *arguments],
        env={**os.environ, "AMENT_PREFIX_PATH": path, "STAND_IN_LOG": str(log)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None and log.read_text().count("\n") < processes:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == processes, said
    return lines


def bridge(lines: list[list[str]], name: str) -> list[str]:
    (found,) = [line for line in lines if f"__node:=gazebo_bridge_{name}" in line]
    return found


def test_gazebo_with_the_robot_of_the_world(tmp_path):
    lines = launch(tmp_path, "headless:=true", "world:=street", processes=11)
    ((_, words, path),) = [line for line in lines if line[0] == "gz"]
    assert words.split() == ["-r", "-s", "--headless-rendering", str(SHARE / "worlds" / "street.sdf")]
    assert str(SHARE / "worlds" / "models") in path.split(os.pathsep)
    assert not [line for line in lines if line[0] == "create"]
    for name in ("clock", "sensors", "camera"):
        assert "__ns:=/" in bridge(lines, name)
    assert {"cmd_vel:=cmd_vel", "tf:=/tf"} <= set(bridge(lines, "sensors"))
    frames = {line[line.index("--child-frame-id") + 1] for line in lines if line[0] == "static_transform_publisher"}
    assert frames >= {"camera_optical_frame", "lidar_link", "scan_link", "imu_link"}


def test_another_robot_joins_in_its_namespace(tmp_path):
    lines = launch(tmp_path, "gz:=false", "namespace:=robot2", "own_tf:=true", "y:=-1.5", processes=10)
    (spawned,) = [line for line in lines if line[0] == "create"]
    assert "<topic>/robot2/camera/image_raw</topic>" in spawned[spawned.index("-string") + 1]
    assert spawned[spawned.index("-name") + 1] == "robot2"
    assert spawned[spawned.index("-y") + 1] == "-1.5"
    assert not [line for line in lines if line[0] == "gz" or "__node:=gazebo_bridge_clock" in line]
    sensors = bridge(lines, "sensors")
    assert "__ns:=/robot2" in sensors
    assert "tf:=/tf" not in sensors
    publishers = [line for line in lines if line[0] == "static_transform_publisher"]
    assert publishers
    assert all("/tf_static:=tf_static" in line for line in publishers)


@pytest.mark.skipif("ros_gz_sim" in get_packages_with_prefixes(), reason="Gazebo is installed here")
def test_without_gazebo_it_says_what_to_install() -> None:
    done = subprocess.run(
        ["ros2", "launch", "robot_ai", "gazebo.launch.py"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1
    assert "sudo apt install ros-jazzy-ros-gz" in done.stdout + done.stderr
    assert "process started" not in done.stdout + done.stderr
