"""The viewer's verb on the graph: what is published is in the recording."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from ros_harness import Peer, next_domain
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Bool, Header
from vision_msgs.msg import Detection2DArray

from robot_ai.perception.detections import Detections
from robot_ai.ros.clouds import to_cloud
from robot_ai.ros.detections import to_detection_array
from robot_ai.ros.images import bgr_to_image

pytest.importorskip("rerun", reason="rerun-sdk needs Python 3.11")


def test_what_a_robot_publishes_is_recorded(tmp_path: Path) -> None:
    domain, file = next_domain(), tmp_path / "drive.rrd"
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    command = [sys.executable, "-m", "robot_ai.cli.main", "view", "--port", "0", "--recording", str(file)]
    viewer = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    peer = Peer(domain)
    try:
        create = peer.node.create_publisher
        image, cloud = create(Image, "camera/image_raw", 10), create(PointCloud2, "lidar/points", 10)
        boxes, odometry = create(Detection2DArray, "camera/detections", 10), create(Odometry, "odom", 10)
        stop, motors = create(Bool, "mcu/stop", 10), create(Twist, "mcu/motors", 10)
        publishers = (image, cloud, boxes, odometry, stop, motors)
        peer.wait(lambda: all(publisher.get_subscription_count() for publisher in publishers), 40)
        found = Detections(
            np.array([[1, 2, 30, 40]], np.float32), np.ones(1, np.float32), np.zeros(1, np.int64), ("person",)
        )
        for step in range(20):
            header = Header(frame_id="base_link")
            header.stamp.sec = step
            image.publish(bgr_to_image(np.full((48, 64, 3), step, np.uint8), header))
            cloud.publish(to_cloud(np.ones((10, 3), np.float32), header))
            boxes.publish(to_detection_array(found, header))
            pose = Odometry(header=header)
            pose.pose.pose.position.x = step / 5
            odometry.publish(pose)
            stop.publish(Bool(data=step % 2 == 0))
            motors.publish(Twist())
            peer.spin(0.1)
    finally:
        peer.close()
        viewer.send_signal(signal.SIGINT)
        output, _ = viewer.communicate(timeout=30)
    assert viewer.returncode == 0, output
    counts = dict(line.split() for line in output.splitlines() if line.startswith("  "))
    assert int(counts["camera/detections"]) >= 15
    # Images and clouds come at 10 Hz and are shown at 5 Hz.
    assert 4 <= int(counts["camera/image_raw"]) <= 16
    printed = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", "-v", str(file)], capture_output=True, text=True, check=True
    ).stdout
    for entity in ("/camera/detections", "/world/robot/points", "/world/path", "/speed/stop", "/log/mcu"):
        assert entity in printed
