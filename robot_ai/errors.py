"""The root of every error that robot_ai raises on purpose.

Each room defines one class per fault beside the code that raises it; all of them derive from `RobotAIError`, so a
caller can tell our explained refusals from a programming error.
"""


class RobotAIError(Exception):
    """A fault with a known cause. Its message says what was wrong, what was expected and what to do."""


def pip_install(extra: str) -> str:
    """What to do about a missing package, for messages: `extra` is one of setup.py's.

    Not by name: on PyPI robot-ai is a stranger's package.
    """
    return f"pip install -e '.[{extra}]' in robot_ai's checkout"
