"""Clouds and scans: layouts, filters, ground, clusters, 3D boxes. Knows no rclpy."""
