"""Pictures, videos and recordings of what a robot sees and does, for people. No ROS."""
