"""The environment variables of everything that runs in .venv: one place, so that no two commands disagree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# A sourced ROS distribution, or a Python of another ROS environment, would mix its packages and libraries into ours.
_FOREIGN = (
    "AMENT_PREFIX_PATH",
    "CMAKE_PREFIX_PATH",
    "COLCON_PREFIX_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "_ROS_WHEELS_BOOTSTRAP_COMPLETE",
)
# Settings of a robot's network that this environment cannot follow: it has Fast DDS without security, on one host.
_NETWORK = ("ROS_DISCOVERY_SERVER", "ROS_LOCALHOST_ONLY", "ROS_SECURITY_ENABLE", "ROS_STATIC_PEERS", "CYCLONEDDS_URI")
# Above 101 the ports of a domain reach into the range that Linux hands out to other programs.
_DOMAINS = 101


def sourced_distribution(environ: Mapping[str, str]) -> str | None:
    """Returns the ROS distribution that was sourced in this shell, or None."""
    return environ.get("ROS_DISTRO") if environ.get("AMENT_PREFIX_PATH") else None


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """Returns `environ` without what a sourced distribution put there."""
    prefixes = [
        p for name in ("AMENT_PREFIX_PATH", "COLCON_PREFIX_PATH") for p in environ.get(name, "").split(":") if p
    ]
    cleaned = {name: value for name, value in environ.items() if name not in _FOREIGN}
    for name in ("LD_LIBRARY_PATH", "PATH"):
        kept = [part for part in environ.get(name, "").split(":") if part and not part.startswith(tuple(prefixes))]
        if kept:
            cleaned[name] = ":".join(kept)
        else:
            cleaned.pop(name, None)
    return cleaned


def build(venv: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment in which pip and the checks of the set-up run."""
    result = clean(environ)
    result["VIRTUAL_ENV"] = str(venv)
    result["PATH"] = f"{venv / 'bin'}:{result.get('PATH', os.defpath)}"
    return result


def run(venv: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment in which ROS nodes of .venv run: on this host only, in a domain of their own."""
    result = {name: value for name, value in build(venv, environ).items() if name not in _NETWORK}
    result["AMENT_PREFIX_PATH"] = str(venv)
    result["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"
    result["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    # Not the shell's domain: that one may be a robot's, whose nodes on this host would join in.
    result["ROS_DOMAIN_ID"] = str(os.getpid() % _DOMAINS + 1)
    result["ROS_DISTRO"] = "jazzy"
    return result
