"""Which shared libraries an interface package consists of, and what each is linked with."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterable
from pathlib import Path

from .generate import TYPESUPPORTS, Sources
from .manifest import Manifest
from .prefix import Prefix
from .toolchain import Toolchain, python_include

# Packages whose headers generated code includes.
_HEADERS = (
    "fastcdr",
    "rcutils",
    "rmw",
    "rosidl_dynamic_typesupport",
    "rosidl_runtime_c",
    "rosidl_runtime_cpp",
    "rosidl_typesupport_c",
    "rosidl_typesupport_fastrtps_c",
    "rosidl_typesupport_fastrtps_cpp",
    "rosidl_typesupport_interface",
    "rosidl_typesupport_introspection_c",
)
_RUNTIME = ("rosidl_runtime_c", "rcutils")
_FASTRTPS, _INTROSPECTION = TYPESUPPORTS


def _toolchain(sources: Sources, prefix: Prefix, packages: list[str], output: Path) -> Toolchain:
    import numpy

    own = [sources.c, sources.python]
    # fastcdr alone installs its headers without a folder of the package's name.
    installed = [prefix.path / "include", *(prefix.include(package) for package in (*_HEADERS, *packages))]
    includes = [*own, *installed, python_include(), Path(numpy.get_include())]
    return Toolchain.find(includes, (output / "lib", prefix.libraries))


def compile_all(manifest: Manifest, sources: Sources, prefix: Prefix, build: Path, output: Path) -> None:
    """Compiles everything below `output`: libraries into lib/, extension modules into <package>/."""
    name, packages = manifest.name, prefix.interface_packages(manifest.dependencies)
    toolchain = _toolchain(sources, prefix, packages, output)

    def link(target: Path, files: Iterable[Path], suffix: str, libraries: tuple[str, ...]) -> None:
        # Each library of ours stands on the libraries of the same kind of the packages we depend on.
        dependencies = [f"{package}__{suffix}" for package in packages]
        toolchain.library(sorted(files), target, build / "objects", [*libraries, *dependencies, *_RUNTIME])

    def library(suffix: str, root: Path, pattern: str, *libraries: str) -> None:
        link(output / "lib" / f"lib{name}__{suffix}.so", (root / name).rglob(pattern), suffix, libraries)

    structs, dispatch, python = (f"{name}__rosidl_{part}" for part in ("generator_c", "typesupport_c", "generator_py"))
    library("rosidl_generator_c", sources.c, "*.c")
    library(_FASTRTPS, sources.fastrtps_c, "*.cpp", structs, "fastcdr", _FASTRTPS, "rosidl_typesupport_fastrtps_cpp")
    library(_INTROSPECTION, sources.introspection_c, "*.c", structs, _INTROSPECTION)
    library("rosidl_typesupport_c", sources.typesupport_c, "*.cpp", structs, "rosidl_typesupport_c")
    library("rosidl_generator_py", sources.python, "*_s.c", structs, dispatch)

    for typesupport in ("rosidl_typesupport_c", *TYPESUPPORTS):
        module = output / name / f"{name}_s__{typesupport}{sysconfig.get_config_var('EXT_SUFFIX')}"
        entry = sources.python / name / f"_{name}_s.ep.{typesupport}.c"
        link(module, [entry], typesupport, (python, structs, dispatch, "rosidl_typesupport_c"))
