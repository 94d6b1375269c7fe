"""When the robot may move: a watchdog over detections, the link to the microcontroller, commands and obstacles."""
