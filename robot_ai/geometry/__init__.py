"""Rigid transforms, the tree of frames over time, cameras. Knows no rclpy."""
