"""The facts about an interface package, read from its package.xml: the one place that states them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from .errors import ManifestError

# What every interface package names for CMake's sake, and what is no interface package itself.
_RUNTIME = "rosidl_default_runtime"
_DEPENDENCY_TAGS = ("depend", "exec_depend", "build_export_depend")
# The kinds of interface files, and the packages whose types rosidl adds to each: no package.xml names those.
_IMPLIED: dict[str, tuple[str, ...]] = {
    "msg": (),
    "srv": ("service_msgs",),
    "action": ("action_msgs", "service_msgs", "unique_identifier_msgs"),
}


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
        raise ManifestError(f"{path} is unreadable ({error}): an interface package's was expected") from error
    interfaces = [file.relative_to(root) for kind in _IMPLIED for file in (root / kind).glob(f"*.{kind}")]
    if not interfaces:
        raise ManifestError(f"{root} has no interface files: expected at least one in msg/, srv/ or action/")
    implied = [package for file in interfaces for package in _IMPLIED[file.parent.name]]
    maintainer = xml.find("maintainer")
    return Manifest(
        root=root,
        name=_text(xml, "name", path),
        version=_text(xml, "version", path),
        description=_text(xml, "description", path),
        license=_text(xml, "license", path),
        maintainer=_text(xml, "maintainer", path),
        email="" if maintainer is None else maintainer.get("email", ""),
        dependencies=tuple(dict.fromkeys([*dependencies(xml), *implied])),
        interfaces=tuple(sorted(interfaces)),
    )
