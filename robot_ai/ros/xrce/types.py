"""Finding and loading the Python classes of interface types."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from robot_ai.ros.xrce.errors import TypeNotInstalledError
from robot_ai.ros.xrce.names import TypeName


def require_installed(type_name: TypeName) -> None:
    """Looks for the type's file without importing anything, which would take long. Raises TypeNotInstalledError."""
    # Only what was found is remembered: a package may still be installed.
    _locate(type_name)


def load(type_name: TypeName) -> Any:
    """The class of a message or service type; imports its package. Raises TypeNotInstalledError."""
    require_installed(type_name)
    try:
        found = getattr(import_module(f"{type_name.package}.{type_name.kind}"), type_name.name)
        return getattr(found.Impl, type_name.part) if type_name.part else found
    except (ImportError, AttributeError) as error:
        raise TypeNotInstalledError(f"{type_name} cannot be loaded ({error}). {_cure(type_name)}") from error


@lru_cache(maxsize=1024)
def _locate(type_name: TypeName) -> Path:
    try:
        package = find_spec(type_name.package)
    except (ImportError, ValueError):
        package = None
    if package is None or not package.submodule_search_locations:
        raise TypeNotInstalledError(
            f"{type_name}: the package '{type_name.package}' is not installed. {_cure(type_name)}"
        )
    for place in package.submodule_search_locations:
        file = Path(place) / type_name.kind / f"_{_module(type_name.name)}.py"
        if file.is_file():
            return file
    raise TypeNotInstalledError(
        f"{type_name}: the package '{type_name.package}' that is installed has no {type_name.kind} "
        f"'{type_name.name}'. {_cure(type_name)}"
    )


def _cure(type_name: TypeName) -> str:
    debian = type_name.package.replace("_", "-")
    return (
        f"Install it (apt install ros-jazzy-{debian}, or build it in a workspace and source that), start the bridge "
        "again, and reset the MCU"
    )


def _module(name: str) -> str:
    """The name of a type's module, as rosidl makes it: BatteryState is in _battery_state.py."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name).lower()
