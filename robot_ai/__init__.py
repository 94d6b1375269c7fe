"""Perception for ROS 2 robots: camera and lidar detectors over interchangeable PyTorch and TensorFlow backends."""

__version__ = "0.1.0"
