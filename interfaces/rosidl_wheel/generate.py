"""From interface files to C, C++ and Python sources, with rosidl's own generators.

The `rosidl` command and the functions behind it find generators through entry points, and refuse the PyPI wheels
because each of them is registered twice (as egg-info and as dist-info). The extension classes themselves work.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .manifest import Manifest
from .prefix import Prefix

TYPESUPPORTS = ("rosidl_typesupport_fastrtps_c", "rosidl_typesupport_introspection_c")


@dataclass(frozen=True)
class Sources:
    """The root folder of every generator's output; below each lies a folder with the package's name."""

    idl: Path
    type_description: Path
    c: Path
    typesupport_c: Path
    fastrtps_c: Path
    introspection_c: Path
    python: Path


def _describe_as_idl(manifest: Manifest, output: Path) -> list[str]:
    """Translates .msg, .srv and .action to .idl; returns them as rosidl names files, `folder:relative path`."""
    from rosidl_adapter import convert_to_idl

    return [
        f"{output}:{convert_to_idl(manifest.root, manifest.name, file, output).relative_to(output).as_posix()}"
        for file in manifest.interfaces
    ]


def generate(manifest: Manifest, prefix: Prefix, build: Path) -> Sources:
    """Runs all generators, each into a folder of its own below `build`."""
    from rosidl_generator_c.cli import GenerateC
    from rosidl_generator_py.cli import GeneratePython
    from rosidl_generator_type_description.cli import HashTypeDescription
    from rosidl_typesupport_c.cli import GenerateCTypesupport
    from rosidl_typesupport_fastrtps_c.cli import GenerateFastRTPSCTypesupport
    from rosidl_typesupport_introspection_c.cli import GenerateIntrospectionCTypesupport

    name = manifest.name
    sources = Sources(
        idl=build / "idl" / name,
        type_description=build / "type_description" / name,
        **{part: build / part for part in ("c", "typesupport_c", "fastrtps_c", "introspection_c", "python")},
    )
    # The generators report every file on standard output, where pip expects only what a user must read.
    with contextlib.redirect_stdout(sys.stderr):
        idl = _describe_as_idl(manifest, sources.idl)
        dependencies = [str(prefix.share(package)) for package in prefix.interface_packages(manifest.dependencies)]
        common: dict[str, Any] = {"package_name": name, "interface_files": idl, "include_paths": dependencies}
        descriptions = HashTypeDescription("hash").generate_type_hashes(**common, output_path=sources.type_description)
        GenerateC("c").generate(**common, output_path=sources.c / name, type_description_files=descriptions)
        GenerateFastRTPSCTypesupport("fastrtps").generate(**common, output_path=sources.fastrtps_c / name)
        introspection = GenerateIntrospectionCTypesupport("introspection")
        introspection.generate(**common, output_path=sources.introspection_c / name)
        dispatch = GenerateCTypesupport("c", typesupport_implementations=list(TYPESUPPORTS))
        dispatch.generate(**common, output_path=sources.typesupport_c / name)
        python = GeneratePython("py", typesupport_implementations=["rosidl_typesupport_c", *TYPESUPPORTS])
        python.generate(**common, output_path=sources.python / name)
    (sources.python / name / "__init__.py").touch()
    _gather_headers(sources, name)
    return sources


def _gather_headers(sources: Sources, name: str) -> None:
    """Gathers the headers of all generators in one tree, as an installed package has them."""
    for root in (sources.fastrtps_c, sources.introspection_c):
        for header in (root / name).rglob("*.h"):
            target = sources.c / header.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(header, target)
