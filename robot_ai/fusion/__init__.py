"""2D detections of a camera and 3D detections of a lidar made one. Knows no rclpy."""
