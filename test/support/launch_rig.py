"""What every launch test needs: the package as colcon installed it, its life in a domain of its own, a robot's sensors.

`needs_launch()` skips a test module with the cause where launch is not installed; nothing before it imports launch. The
cases are used as `launch_rig.RunningCase`: unittest would run the tests of a class that is a module's own name.
"""

from __future__ import annotations

import os
import signal
import socket
import time
import unittest
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from ros_harness import Peer, bright_image, next_domain
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from tf2_msgs.msg import TFMessage

from robot_ai.nodes.image_source import camera_info
from robot_ai.ros.clouds import to_cloud
from robot_ai.training.lidar_scenes import BEAMS, Ground, Scene, cast
from robot_ai.training.lidar_shapes import person, vehicle

if TYPE_CHECKING:
    from launch import Action, LaunchDescription

# Seconds: what is waited for takes a few of them, but not where other tests keep all cores busy.
PATIENCE = 90.0
_LONGEST_TEST = 900.0

BRIGHT = (290, 200, 350, 280)
_PERIOD = 0.1
_STATIC = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def needs_launch() -> Path:
    """Skips the module where launch or an installed robot_ai is missing; returns the package's share directory."""
    for package in ("launch_testing", "launch_ros"):
        pytest.importorskip(package, reason=f"{package} is on no package registry; needs ROS")
    try:
        return Path(get_package_share_directory("robot_ai"))
    except (PackageNotFoundError, LookupError):
        pytest.skip(
            "robot_ai is in no ament prefix: run colcon build and source install/setup.bash", allow_module_level=True
        )


def launch_test(describe: Callable[[], LaunchDescription]) -> Callable[[], LaunchDescription]:
    """Decorates generate_test_description; what is launched lives as long as the tests run."""
    from launch_testing.markers import keep_alive

    return pytest.mark.launch_test(pytest.mark.timeout(_LONGEST_TEST)(keep_alive(describe)))


def description(*actions: Action) -> LaunchDescription:
    """What generate_test_description returns: the actions, in a domain of their own."""
    from launch_testing.actions import ReadyToTest

    from launch import LaunchDescription

    os.environ["ROS_DOMAIN_ID"] = str(next_domain())
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # These tests kill nodes, which may then hold a lock in memory that they share with us: we would wait for ever.
    os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"
    return LaunchDescription([*actions, ReadyToTest()])


def include(file: str, arguments: Mapping[str, str]) -> Action:
    """A launch file of this package, in a scope of its own: its arguments are no other file's defaults."""
    from launch.actions import GroupAction, IncludeLaunchDescription
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    source = PythonLaunchDescriptionSource(str(Path(get_package_share_directory("robot_ai")) / "launch" / file))
    return GroupAction([IncludeLaunchDescription(source, launch_arguments=arguments.items())])


def free_port() -> str:
    """A UDP port that no one listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


class RunningCase(unittest.TestCase):
    """While everything runs; in the order of the names."""

    def setUp(self) -> None:
        self.peer = Peer(_domain(), "launch_test", PATIENCE)

    def tearDown(self) -> None:
        self.peer.close()

    def flows(self, kind: type, topic: str, count: int = 5) -> list[Any]:
        """The first messages of a topic, at least `count`."""
        received = self.peer.listen(kind, topic)
        self.peer.wait(lambda: len(received) >= count)
        return received


class EndedCase(unittest.TestCase):
    """After launch has ended everything: cleanly, but for the `killed` processes that the tests have killed."""

    killed = 1
    executables: tuple[str, ...] = ()

    def test_exit_codes(self, proc_info: Any) -> None:
        codes = sorted(info.returncode for info in proc_info)
        self.assertEqual(codes, [-signal.SIGKILL] * self.killed + [0] * (len(codes) - self.killed))

    def test_nothing_is_left(self) -> None:
        self.assertEqual([pid for executable in self.executables for pid in pids_of(executable)], [])


def street() -> np.ndarray:
    """A person and a car on a level floor, 32 beams, (N, 3) float32 in meters."""
    rng = np.random.default_rng(2)
    scene = Scene(Ground.level(1.8), (person(rng), vehicle(rng)), ((6.0, 1.0, 0.4), (10.0, -6.0, 0.5)))
    return cast(scene, BEAMS[32], rng).points


class Sensors:
    """A camera that sees a bright rectangle and a lidar that sees a street, at 10 Hz, while the peer spins."""

    def __init__(self, peer: Peer, prefix: str = "", tf: bool = True) -> None:
        create = peer.node.create_publisher
        self._node = peer.node
        self._publishers = {
            "image": create(Image, f"{prefix}camera/image_raw", 5),
            "info": create(CameraInfo, f"{prefix}camera/camera_info", 5),
            "points": create(PointCloud2, f"{prefix}lidar/points", 5),
        }
        self._tf = create(TFMessage, "/tf_static", _STATIC) if tf else None
        self._points = street()
        self._place()
        self._timer = peer.node.create_timer(_PERIOD, self._send)

    def _place(self) -> None:
        if self._tf is None:
            return
        way = TransformStamped(child_frame_id="camera_optical_frame")
        way.header.frame_id = "lidar"
        # An optical frame: z ahead, x right, y down.
        turn = way.transform.rotation
        turn.x, turn.y, turn.z, turn.w = -0.5, 0.5, -0.5, 0.5
        self._tf.publish(TFMessage(transforms=[way]))

    def _send(self) -> None:
        stamp = self._node.get_clock().now().nanoseconds
        image = bright_image(640, 480, BRIGHT, stamp, "camera_optical_frame")
        self._publishers["image"].publish(image)
        self._publishers["info"].publish(camera_info(640, 480, 1.0, image.header))
        cloud = to_cloud(self._points, image.header, rows=32)
        cloud.header.frame_id = "lidar"
        self._publishers["points"].publish(cloud)


def _domain() -> int:
    return int(os.environ["ROS_DOMAIN_ID"])


def pids_of(executable: str) -> list[int]:
    """The processes of a node in this test's domain, found in /proc: launch's own records do not name those it started
    again.
    """
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile, or is someone else's
        runs = any(word.endswith(f"/lib/robot_ai/{executable}".encode()) for word in words[:2])
        if runs and f"ROS_DOMAIN_ID={_domain()}".encode() in environment:
            found.append(int(process.name))
    return found


def kill_and_wait(executable: str) -> None:
    """Kills the one process of a node, as the kernel does when memory runs out, and waits until it runs again."""
    (pid,) = pids_of(executable)
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        pids = pids_of(executable)
        if len(pids) == 1 and pids != [pid]:
            return
        time.sleep(0.1)
    raise AssertionError(f"{executable} was not started again within {PATIENCE} s")
