"""One file per ROS node: parameters, topics, lifecycle. No maths."""

import sys

from robot_ai.nodes.starting import end_at_once

# So it is only while Python looks for the module that `python -m robot_ai.nodes.X` is to run, before its imports.
if sys.argv[0] == "-m":
    end_at_once()
