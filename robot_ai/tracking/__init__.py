"""Objects that keep their number from frame to frame, in images and in clouds. Knows no rclpy."""
