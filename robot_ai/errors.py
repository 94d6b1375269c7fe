"""The root of every error that robot_ai raises on purpose.

Each room defines one class per fault beside the code that raises it; all of them derive from `RobotAIError`, so a
caller can tell our explained refusals from a programming error.
"""


class RobotAIError(Exception):
    """A fault with a known cause. Its message says what was wrong, what was expected and what to do."""
