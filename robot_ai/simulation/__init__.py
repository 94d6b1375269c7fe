"""A robot's world without Gazebo: SDF worlds, physics, sensors and ground truth. Knows no ROS."""
