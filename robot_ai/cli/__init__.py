"""The `robot_ai` command, one file per verb."""
