"""Recordings of topics in rosbag2's MCAP files. Messages stay as they were serialized; no rclpy."""
