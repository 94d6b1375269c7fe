"""simulation.launch.py: a simulated robot that sees, and drives through watchdog and microcontroller."""

from __future__ import annotations

import launch_rig
import pytest

launch_rig.needs_launch()
pytest.importorskip("mujoco", reason="the simulator needs MuJoCo: pip install -e '.[simulation]'")

import launch_testing
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from vision_msgs.msg import Detection2DArray, Detection3DArray

from launch import LaunchDescription


@launch_rig.launch_test
def generate_test_description() -> LaunchDescription:
    simulation = launch_rig.include(
        "simulation.launch.py",
        {
            "bridge": "true",
            "driver": "true",
            "bridge.udp_port": launch_rig.free_port(),
            # A machine that runs other tests draws and infers late.
            "bridge.detections_timeout": "5.0",
            "bridge.command_timeout": "2.0",
            "driver.scan_timeout": "3.0",
            "simulator.camera_rate": "2.0",
        },
    )
    return launch_rig.description(simulation)


class TestRunning(launch_rig.RunningCase):
    def test_a_everything_is_detected_in_simulated_time(self) -> None:
        clock = self.flows(Clock, "/clock")
        seen = self.flows(Detection2DArray, "/camera/detections")[-1]
        self.assertLess(abs(seen.header.stamp.sec - clock[-1].clock.sec), 30)
        self.flows(Detection3DArray, "/lidar/detections")
        self.flows(Detection3DArray, "/detections_fused")
        self.assertTrue(self.peer.get("/camera_detector", "use_sim_time"))

    def test_b_the_robot_moves(self) -> None:
        odometry = self.peer.listen(Odometry, "/odom")

        def moved() -> bool:
            if not odometry:
                return False
            first, last = (o.pose.pose for o in (odometry[0], odometry[-1]))
            away = abs(last.position.x - first.position.x) + abs(last.position.y - first.position.y)
            return away + abs(last.orientation.z - first.orientation.z) > 0.05

        self.peer.wait(moved)

    def test_c_a_killed_detector_comes_back(self) -> None:
        launch_rig.kill_and_wait("lidar_detector")
        self.flows(Detection3DArray, "/lidar/detections")


@launch_testing.post_shutdown_test()
class TestAfterShutdown(launch_rig.EndedCase):
    executables = ("simulator", "camera_detector", "lidar_detector", "micro_ros_bridge", "follow_and_avoid")
