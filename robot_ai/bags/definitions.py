"""The text of message definitions, which a recording holds so that any reader understands it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from robot_ai.bags.errors import BagLibraryMissingError, MessageDefinitionError

try:
    from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
except ImportError as error:
    raise BagLibraryMissingError from error


class Definitions:
    """rosbags' own definitions of Jazzy, those below AMENT_PREFIX_PATH (a sourced ROS), and those of wheels."""

    def __init__(self) -> None:
        self.store: Any = get_typestore(Stores.ROS2_JAZZY)

    def require(self, type_name: str) -> None:
        """Makes a type ("vision_msgs/msg/Detection2DArray") known, and those it is made of.

        Raises MessageDefinitionError when it is not installed, or cannot be read.
        """
        if type_name in self.store.types:
            return
        package, _, name = type_name.partition("/msg/")
        folder = next((p for p in _places(package) if (p / f"{name}.msg").is_file()), None)
        if folder is None:
            raise MessageDefinitionError(
                f"no definition of {type_name}: expected share/{package}/msg/{name}.msg below AMENT_PREFIX_PATH; "
                f"install {package} or source its workspace"
            )
        found: dict[str, Any] = {}
        try:
            for file in sorted(folder.glob("*.msg")):
                found |= get_types_from_msg(file.read_text(encoding="utf-8"), f"{package}/msg/{file.stem}")
            self.store.register({key: value for key, value in found.items() if key not in self.store.types})
            self.store.hash_rihs01(type_name)
        except (TypesysError, KeyError, OSError, UnicodeDecodeError) as error:
            raise MessageDefinitionError(
                f"the definition of {type_name} in {folder} cannot be used: {error}"
            ) from error


def _places(package: str) -> list[Path]:
    """Where a package's definitions may be: in the prefixes of the environment, else beside this Python, where pip's
    wheels of ROS are and nothing needs to be sourced.
    """
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    return [Path(prefix) / "share" / package / "msg" for prefix in prefixes if prefix]
