"""One file per ROS node: parameters, topics, lifecycle. No maths."""
