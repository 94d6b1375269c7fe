"""A DDS-XRCE agent: what a micro-ROS client speaks, a protocol core without sockets, and the transports around it."""
