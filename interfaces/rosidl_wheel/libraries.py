"""Which shared libraries an interface package consists of, and what each is linked with."""

from __future__ import annotations

import sysconfig
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
_FASTRTPS, _INTROSPECTION = TYPESUPPORTS


def _toolchain(sources: Sources, prefix: Prefix, packages: list[str]) -> Toolchain:
    import numpy

    own = [sources.c, sources.python]
    # fastcdr alone installs its headers without a folder of the package's name.
    installed = [prefix.path / "include", *(prefix.include(package) for package in (*_HEADERS, *packages))]
    return Toolchain.find([*own, *installed, python_include(), Path(numpy.get_include())])


def compile_all(manifest: Manifest, sources: Sources, prefix: Prefix, build: Path, output: Path) -> None:
    """Compiles everything below `output`: libraries into lib/, extension modules into <package>/."""
    name, packages = manifest.name, prefix.interface_packages(manifest.dependencies)
    toolchain = _toolchain(sources, prefix, packages)

    def link(target: Path, files: list[Path], suffix: str, *libraries: str) -> None:
        dependencies = [f"{package}__{suffix}" for package in packages]
        toolchain.library(sorted(files), target, build / "obj", [*libraries, *dependencies], (output / "lib", prefix.libraries))

    def library(suffix: str, root: Path, pattern: str, *libraries: str) -> None:
        link(output / "lib" / f"lib{name}__{suffix}.so", list((root / name).rglob(pattern)), suffix, *libraries)

    structs, dispatch = f"{name}__rosidl_generator_c", f"{name}__rosidl_typesupport_c"
    runtime = ("rosidl_runtime_c", "rcutils")
    library("rosidl_generator_c", sources.c, "*.c", *runtime)
    library(
        *(_FASTRTPS, sources.fastrtps_c, "*.cpp", structs, "fastcdr"),
        *("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_fastrtps_cpp", *runtime),
    )
    library(_INTROSPECTION, sources.introspection_c, "*.c", structs, "rosidl_typesupport_introspection_c", *runtime)
    library("rosidl_typesupport_c", sources.typesupport_c, "*.cpp", structs, "rosidl_typesupport_c", *runtime)
    library("rosidl_generator_py", sources.python, "*_s.c", structs, dispatch, *runtime)

    for typesupport in ("rosidl_typesupport_c", *TYPESUPPORTS):
        module = output / name / f"{name}_s__{typesupport}{sysconfig.get_config_var('EXT_SUFFIX')}"
        entry = sources.python / name / f"_{name}_s.ep.{typesupport}.c"
        link(module, [entry], typesupport, f"{name}__rosidl_generator_py", structs, dispatch, "rosidl_typesupport_c", *runtime)
