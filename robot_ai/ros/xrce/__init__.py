"""The XRCE agent's clients on the ROS graph: each a node with publishers, subscriptions, services and clients."""
