"""Where to drive, given what is seen: arcs that are free, and a behavior that follows people. No ROS, no threads."""
