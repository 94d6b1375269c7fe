"""What nodes share: messages and arrays, QoS, parameters, diagnostics. Besides nodes/, only this room knows rclpy."""
