"""Builds a ROS 2 interface package into a wheel, without CMake: rosidl's generators, gcc, and a zip file.

It is a PEP 517 backend. An interface package uses it through a `build_backend.py` of its own (see vision_msgs);
everything about the package comes from its package.xml and its interface files. pip calls the hooks with that package
as the working directory.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from . import archive, generate, libraries, manifest, pins, prefix, toolchain

__all__ = [
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]

_Settings: TypeAlias = "Mapping[str, Any] | None"


def _check_compiler() -> None:
    toolchain.Toolchain.find()
    toolchain.python_include()


def get_requires_for_build_wheel(config_settings: _Settings = None) -> list[str]:
    """PEP 517 hook: the ROS wheels and libraries to install before `build_wheel`.

    The compiler is looked for here too, so that its lack shows before a hundred megabytes are downloaded.
    """
    _check_compiler()
    return pins.build_requirements(manifest.read(Path.cwd()).dependencies)


def get_requires_for_build_sdist(config_settings: _Settings = None) -> list[str]:
    """PEP 517 hook: nothing is needed to pack the sources."""
    return []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: _Settings = None) -> str:
    """PEP 517 hook: writes the dist-info folder without compiling anything."""
    package = manifest.read(Path.cwd())
    dist_info = Path(metadata_directory) / f"{package.name}-{package.version}.dist-info"
    dist_info.mkdir(parents=True)
    for name, text in archive.metadata(package).items():
        (dist_info / name).write_text(text, encoding="utf-8")
    return dist_info.name


def build_wheel(wheel_directory: str, config_settings: _Settings = None, metadata_directory: str | None = None) -> str:
    """PEP 517 hook: generates, compiles and packs the package in the working directory."""
    # Without build isolation pip never asks for the requirements, where this is checked first.
    _check_compiler()
    package, ros = manifest.read(Path.cwd()), prefix.locate()
    with tempfile.TemporaryDirectory(prefix=f"{package.name}-") as folder:
        build, compiled = Path(folder, "build"), Path(folder, "compiled")
        sources = generate.generate(package, ros, build)
        libraries.compile_all(package, sources, ros, build, compiled)
        return archive.write(package, archive.contents(package, sources, compiled), Path(wheel_directory))


def build_sdist(sdist_directory: str, config_settings: _Settings = None) -> str:
    """PEP 517 hook: packs the sources together with this builder."""
    package = manifest.read(Path.cwd())
    name = f"{package.name}-{package.version}"
    with tempfile.TemporaryDirectory() as folder, tarfile.open(Path(sdist_directory, f"{name}.tar.gz"), "w:gz") as tar:
        pkg_info = Path(folder, "PKG-INFO")
        pkg_info.write_text(archive.metadata(package)["METADATA"], encoding="utf-8")
        tar.add(pkg_info, f"{name}/PKG-INFO")
        own = ("package.xml", "CMakeLists.txt", "pyproject.toml", "build_backend.py", *map(str, package.interfaces))
        for file in own:
            tar.add(package.root / file, f"{name}/{file}")
        for module in sorted(Path(__file__).parent.glob("*.py")):
            tar.add(module, f"{name}/rosidl_wheel/{module.name}")
    return f"{name}.tar.gz"
