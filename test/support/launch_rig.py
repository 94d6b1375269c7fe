"""What every launch test needs: a robot's sensors on its topics, and the package as colcon installed it.

Imported only where launch is installed; `needs_launch()` skips a test module with the cause where it is not.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from pathlib import Path

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


def own_domain() -> int:
    """A domain for this test module, in the environment of what it launches."""
    domain = next_domain()
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # These tests kill nodes, which may then hold a lock in memory that they share with us: we would wait for ever.
    os.environ["FASTDDS_BUILTIN_TRANSPORTS"] = "UDPv4"
    return domain


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


def pids_of(executable: str, domain: int) -> list[int]:
    """The processes of a node in a domain, found in /proc: launch's own records do not name those it started again."""
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
        if runs and f"ROS_DOMAIN_ID={domain}".encode() in environment:
            found.append(int(process.name))
    return found


def kill(executable: str, domain: int) -> int:
    """Kills the one process of a node, as the kernel does when memory runs out; returns its pid."""
    (pid,) = pids_of(executable, domain)
    os.kill(pid, signal.SIGKILL)
    return pid


def wait_for_another(executable: str, domain: int, than: int, timeout: float = 20.0) -> int:
    """Waits until a node that was killed runs again, in one process; returns its pid."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        pids = pids_of(executable, domain)
        if len(pids) == 1 and pids != [than]:
            return pids[0]
        time.sleep(0.1)
    raise AssertionError(f"{executable} was not started again within {timeout} s")


def assert_clean(exit_codes: Iterable[int], killed: int = 0) -> None:
    """Every process ended with 0, but `killed` ones, which SIGKILL ended."""
    codes = sorted(exit_codes)
    assert codes == sorted([-signal.SIGKILL] * killed + [0] * (len(codes) - killed)), codes
