"""robot.launch.py in a namespace, drivers' topics by name, and a simulated microcontroller on its UDP port."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import launch_rig

launch_rig.needs_launch()

import launch_testing
from geometry_msgs.msg import Twist
from launch.actions import ExecuteProcess
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Bool, UInt32
from stub_card import write_stub_card
from vision_msgs.msg import Detection3DArray

from launch import LaunchDescription

CARD = write_stub_card(Path(tempfile.mkdtemp(prefix="robot_ai_launch_")))


@launch_rig.launch_test
def generate_test_description() -> LaunchDescription:
    port = launch_rig.free_port()
    robot = launch_rig.include(
        "robot.launch.py",
        {
            "namespace": "robot1",
            "image": "/drivers/camera/image_raw",
            "camera_info": "/drivers/camera/camera_info",
            "points": "/drivers/lidar/points",
            "camera.backend": "stub",
            "camera.model": str(CARD),
            "bridge.udp_port": port,
            # The street's person stands at 6 m.
            "bridge.stop_distance": "3.0",
            "bridge.resume_after": "0.2",
        },
    )
    mcu = ExecuteProcess(
        cmd=[sys.executable, "-m", "robot_ai.cli.simulated_mcu", "--udp", port, "--namespace", "robot1"],
        output="screen",
    )
    return launch_rig.description(robot, mcu)


class TestRunning(launch_rig.RunningCase):
    def setUp(self) -> None:
        super().setUp()
        self.sensors = launch_rig.Sensors(self.peer, "/drivers/")

    def drives(self) -> None:
        """A command goes through watchdog and microcontroller to the motors."""
        command = self.peer.node.create_publisher(Twist, "/robot1/cmd_vel", 1)
        twist = Twist()
        twist.linear.x = 0.4
        timer = self.peer.node.create_timer(0.1, lambda: command.publish(twist))
        motors = self.peer.listen(Twist, "/robot1/mcu/motors", qos_profile_sensor_data)
        self.peer.wait(lambda: any(m.linear.x == 0.4 for m in motors))
        self.peer.node.destroy_timer(timer)

    def test_a_detections_flow_to_the_microcontroller(self) -> None:
        fused = self.peer.listen(Detection3DArray, "/robot1/detections_fused")
        beats = self.peer.listen(UInt32, "/robot1/mcu/heartbeat", qos_profile_sensor_data)
        self.peer.wait(lambda: len(fused) >= 5 and len(beats) >= 5)
        self.assertEqual(self.peer.get("/robot1/micro_ros_bridge", "detections_type"), "3d")
        self.assertFalse(self.peer.get("/robot1/camera_detector", "use_sim_time"))
        self.assertEqual(launch_rig.pids_of("follow_and_avoid"), [])

    def test_b_commands_reach_the_motors(self) -> None:
        self.drives()

    def test_c_too_near_stops_it_and_a_parameter_frees_it(self) -> None:
        stops = self.peer.listen(Bool, "/robot1/mcu/stop")
        self.assertTrue(self.peer.set("/robot1/micro_ros_bridge", stop_distance=8.0, slow_distance=9.0).successful)
        self.peer.wait(lambda: stops and stops[-1].data)
        freed = self.peer.set("/robot1/micro_ros_bridge", stop_distance=3.0, slow_distance=4.0)
        self.assertTrue(freed.successful, freed.reason)
        self.drives()

    def test_d_a_killed_bridge_comes_back_and_the_microcontroller_with_it(self) -> None:
        launch_rig.kill_and_wait("micro_ros_bridge")
        self.drives()


@launch_testing.post_shutdown_test()
class TestAfterShutdown(launch_rig.EndedCase):
    executables = ("camera_detector", "lidar_detector", "detection_fusion", "micro_ros_bridge")
