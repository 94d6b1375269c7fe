"""The facts about an interface package, read from its package.xml: the one place that states them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from .errors import ManifestError

# What every interface package names for CMake's sake, and what is no interface package itself.
_RUNTIME = "rosidl_default_runtime"
_DEPENDENCY_TAGS = ("depend", "exec_depend", "build_export_depend")
_INTERFACE_FOLDERS = {"msg": "*.msg", "srv": "*.srv", "action": "*.action"}


@dataclass(frozen=True)
class Manifest:
    """What a package.xml says, and which interface files lie beside it."""

    root: Path
    name: str
    version: str
    description: str
    license: str
    maintainer: str
    email: str
    dependencies: tuple[str, ...]
    interfaces: tuple[Path, ...]


def _text(root: ET.Element, tag: str, path: Path) -> str:
    value = " ".join((root.findtext(tag) or "").split())
    if not value:
        raise ManifestError(f"{path} has no <{tag}>: a format 3 package.xml was expected; add the element")
    return value


def dependencies(xml: ET.Element) -> tuple[str, ...]:
    """Returns the names of the packages that this one needs at run time, in the order they are written."""
    found = [" ".join((element.text or "").split()) for tag in _DEPENDENCY_TAGS for element in xml.findall(tag)]
    return tuple(dict.fromkeys(name for name in found if name != _RUNTIME))


def read(root: Path) -> Manifest:
    """Reads the interface package in the folder `root`."""
    path = root / "package.xml"
    try:
        xml = ET.parse(path).getroot()
    except (OSError, ET.ParseError) as error:
        raise ManifestError(f"{path} cannot be read ({error}): expected the package.xml of an interface package") from error
    interfaces = [p.relative_to(root) for folder, glob in _INTERFACE_FOLDERS.items() for p in (root / folder).glob(glob)]
    if not interfaces:
        raise ManifestError(f"{root} has no interface files: expected at least one in msg/, srv/ or action/")
    maintainer = xml.find("maintainer")
    return Manifest(
        root=root,
        name=_text(xml, "name", path),
        version=_text(xml, "version", path),
        description=_text(xml, "description", path),
        license=_text(xml, "license", path),
        maintainer=_text(xml, "maintainer", path),
        email="" if maintainer is None else maintainer.get("email", ""),
        dependencies=dependencies(xml),
        interfaces=tuple(sorted(interfaces)),
    )
