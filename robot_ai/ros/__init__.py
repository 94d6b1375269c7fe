"""What nodes share: messages and arrays, QoS matching, parameters, diagnostics. The only room besides nodes/ that knows rclpy."""
