"""Where the package's data files (config, launch, models) are, however it was installed."""

from __future__ import annotations

import sys
from pathlib import Path

from robot_ai.errors import RobotAIError


class ShareNotFoundError(RobotAIError):
    """A data file of this package that is in none of the places where an installation puts it."""


def share_directories() -> list[Path]:
    """Candidates for share/robot_ai, best first: the ament index, the Python prefix, the source checkout."""
    checkout = Path(__file__).resolve().parents[1]
    return list(dict.fromkeys([*_ament_share(), Path(sys.prefix) / "share" / "robot_ai", checkout]))


def share_file(relative: str) -> Path:
    """The path of one data file, such as `config/fastdds_shared_memory.xml`. Raises ShareNotFoundError."""
    for directory in share_directories():
        if (directory / relative).is_file():
            return directory / relative
    places = ", ".join(str(directory) for directory in share_directories())
    raise ShareNotFoundError(f"{relative} is in none of {places}; install robot_ai again")


def _ament_share() -> list[Path]:
    """The share directory of a colcon workspace or a distribution, if this Python knows any."""
    try:
        from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
    except ImportError:
        return []
    try:
        return [Path(get_package_share_directory("robot_ai"))]
    except (PackageNotFoundError, LookupError, ValueError, OSError):
        return []  # no AMENT_PREFIX_PATH, or robot_ai is not in it
