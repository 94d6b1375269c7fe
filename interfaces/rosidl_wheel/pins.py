"""The versions of ROS 2 Jazzy on PyPI that interface packages are built with and depend on.

The names on PyPI carry no distribution, so without a pin pip would take a later distribution's release.
"""

from __future__ import annotations

from collections.abc import Iterable

from .errors import UnpinnedDependencyError

_COMMON_INTERFACES = "5.3.6"
_RCL_INTERFACES = "2.0.3"
_ROSIDL = "4.6.6"
_TYPESUPPORT = "3.2.2"
_TYPESUPPORT_FASTRTPS = "3.6.2"

# The generators and the headers that generated code includes.
_TOOLS = {
    "ament_index_python": "1.8.1",
    "fastcdr": "2.2.5",
    "rcutils": "6.7.4",
    "rmw": "7.3.2",
    "rosidl_adapter": _ROSIDL,
    "rosidl_cli": _ROSIDL,
    "rosidl_generator_c": _ROSIDL,
    "rosidl_generator_py": "0.22.2",
    "rosidl_generator_type_description": _ROSIDL,
    "rosidl_parser": _ROSIDL,
    "rosidl_pycommon": _ROSIDL,
    "rosidl_runtime_c": _ROSIDL,
    "rosidl_runtime_cpp": _ROSIDL,
    "rosidl_typesupport_c": _TYPESUPPORT,
    "rosidl_typesupport_fastrtps_c": _TYPESUPPORT_FASTRTPS,
    "rosidl_typesupport_fastrtps_cpp": _TYPESUPPORT_FASTRTPS,
    "rosidl_typesupport_interface": _ROSIDL,
    "rosidl_typesupport_introspection_c": _ROSIDL,
}

_MESSAGES = {
    "actionlib_msgs": _COMMON_INTERFACES,
    "diagnostic_msgs": _COMMON_INTERFACES,
    "geometry_msgs": _COMMON_INTERFACES,
    "nav_msgs": _COMMON_INTERFACES,
    "sensor_msgs": _COMMON_INTERFACES,
    "shape_msgs": _COMMON_INTERFACES,
    "std_msgs": _COMMON_INTERFACES,
    "std_srvs": _COMMON_INTERFACES,
    "stereo_msgs": _COMMON_INTERFACES,
    "trajectory_msgs": _COMMON_INTERFACES,
    "visualization_msgs": _COMMON_INTERFACES,
    "action_msgs": _RCL_INTERFACES,
    "builtin_interfaces": _RCL_INTERFACES,
    "lifecycle_msgs": _RCL_INTERFACES,
    "rcl_interfaces": _RCL_INTERFACES,
    "rosgraph_msgs": _RCL_INTERFACES,
    "service_msgs": _RCL_INTERFACES,
    "type_description_interfaces": _RCL_INTERFACES,
    "unique_identifier_msgs": "2.5.0",
}

# rosidl needs these without saying so; lark's grammar files changed with 1.0.
_UNDECLARED = ["empy", "lark-parser==0.12.0", "numpy", "PyYAML", "setuptools"]


def _pinned(package: str, version: str) -> str:
    return f"ros-{package.replace('_', '-')}~={version}"


def message_requirements(packages: Iterable[str]) -> list[str]:
    """Returns the pip requirements for the interface packages named in a package.xml."""
    requirements = []
    for package in packages:
        if package not in _MESSAGES:
            raise UnpinnedDependencyError(
                f"no version is pinned for the interface package {package}: expected one of "
                f"{', '.join(sorted(_MESSAGES))}; add it to interfaces/rosidl_wheel/pins.py"
            )
        requirements.append(_pinned(package, _MESSAGES[package]))
    return requirements


def build_requirements(packages: Iterable[str]) -> list[str]:
    """Returns everything pip must install to build a package that depends on the interface packages `packages`."""
    tools = [_pinned(package, version) for package, version in _TOOLS.items()]
    return [*tools, *_UNDECLARED, *message_requirements(packages)]
