"""What runs together on a robot: the table of nodes, and how launch starts them."""
