"""Where the ROS wheels were installed, and which interface packages a package stands on."""

from __future__ import annotations

import importlib.util
import os
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from . import manifest
from .errors import MissingRosWheelError

_INDEX = Path("share/ament_index/resource_index")


@dataclass(frozen=True)
class Prefix:
    """An ament prefix: the environment into which pip put the ROS wheels."""

    path: Path

    @property
    def libraries(self) -> Path:
        """The folder of the shared libraries."""
        return self.path / "lib"

    def share(self, package: str) -> Path:
        """Returns the folder with a package's interface definitions."""
        return self.path / "share" / package

    def include(self, package: str) -> Path:
        """Returns the folder that a compiler needs to see a package's headers."""
        return self.path / "include" / package

    def resource(self, kind: str) -> list[str]:
        """Lists the packages that registered the resource `kind`, as ament's index does."""
        return sorted(entry.name for entry in (self.path / _INDEX / kind).iterdir())

    def interface_packages(self, direct: tuple[str, ...]) -> list[str]:
        """Returns `direct` and all interface packages that those depend on."""
        available = set(self.resource("rosidl_interfaces"))
        pending, found = list(direct), dict[str, None]()
        while pending:
            package = pending.pop(0)
            if package in found:
                continue
            if package not in available:
                raise MissingRosWheelError(
                    f"the interface package {package} is not installed in {self.path}: expected its wheel, "
                    f"ros-{package.replace('_', '-')}; let pip build in isolation, or install the wheel first"
                )
            found[package] = None
            xml = ET.parse(self.share(package) / "package.xml").getroot()
            pending += [name for name in manifest.dependencies(xml) if name in available]
        return list(found)


def locate() -> Prefix:
    """Finds the prefix of the rosidl that this interpreter imports, and makes ament look there."""
    spec = importlib.util.find_spec("rosidl_cli")
    origin = spec.origin if spec else None
    # <prefix>/lib/pythonX.Y/site-packages/rosidl_cli/__init__.py
    path = Path(origin).resolve().parents[4] if origin else None
    if path is None or not (path / _INDEX).is_dir():
        raise MissingRosWheelError(
            f"rosidl was not found by {sys.executable}: expected the wheels that the build requirements name; "
            "let pip build in isolation, that is, without --no-build-isolation"
        )
    # rosidl reads its templates through the index; a sourced distribution must not answer instead.
    os.environ["AMENT_PREFIX_PATH"] = str(path)
    return Prefix(path)
