"""Where models and meshes are found."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
from defusedxml.common import DefusedXmlException

from robot_ai.share import share_directories
from robot_ai.simulation.errors import ResourceError, WorldFileError

ENVIRONMENT_VARIABLES = ("GZ_SIM_RESOURCE_PATH", "SDF_PATH")
"""Read as Gazebo reads them: lists of directories that hold models."""
_CONFIG = "model.config"


def world_directories() -> list[Path]:
    """The directories that may hold worlds, in the order in which they are searched."""
    return [share / "worlds" for share in share_directories()]


def model_directories(beside: Path) -> list[Path]:
    """The directories that may hold models, for a file named `beside`, in the order in which they are searched."""
    named = [
        Path(part) for name in ENVIRONMENT_VARIABLES for part in os.environ.get(name, "").split(os.pathsep) if part
    ]
    around = [folder for parent in list(beside.resolve().parents)[:2] for folder in (parent / "models", parent)]
    return list(dict.fromkeys([*around, *named, *(place / "models" for place in world_directories())]))


def find_world(name_or_path: str) -> Path:
    """A world's file, given its path or a name in worlds/, with or without `.sdf`. Raises ResourceError."""
    path = Path(name_or_path).expanduser()
    candidates = [path, *(place / f"{name_or_path}{end}" for place in world_directories() for end in ("", ".sdf"))]
    for candidate in candidates if name_or_path else []:
        if candidate.is_file():
            return candidate
    known = sorted({file.stem for place in world_directories() for file in place.glob("*.sdf")})
    raise ResourceError(
        f"no world '{name_or_path}': it is no file, and the worlds that come with robot_ai are: "
        f"{', '.join(known) or 'none'}"
    )


def find_resource(uri: str, beside: Path, where: str) -> Path:
    """The file or directory that a URI means: `model://name/rest`, `file://...`, or a path relative to `beside`.

    Raises ResourceError, which lists the places searched; `where` says which element asked.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        places: Sequence[Path] = [beside.resolve().parent]
        rest = uri
    elif scheme == "file":
        places = [beside.resolve().parent]
    elif scheme in ("model", "package"):
        places = model_directories(beside)
    else:
        raise ResourceError(
            f"{where}: the URI '{uri}' is of a scheme that is not fetched; expected model:// or file://"
        )
    for place in places:
        if rest and (place / rest).exists():
            return place / rest
    searched = ", ".join(str(place) for place in places)
    raise ResourceError(
        f"{where}: '{uri}' is in none of {searched}. Mend the URI, or name the directory that holds it in "
        f"${ENVIRONMENT_VARIABLES[0]}"
    )


def model_file(uri: str, beside: Path, where: str) -> Path:
    """The SDF file of the model that an <include> names: an SDF file, or a directory with a model.config.

    Raises ResourceError.
    """
    found = find_resource(uri, beside, where)
    if found.is_file():
        return found
    config = found / _CONFIG
    if config.is_file():
        names = _files_of(config)
        for name in names:
            if (found / name).is_file():
                return found / name
    if (found / "model.sdf").is_file():
        return found / "model.sdf"
    raise ResourceError(f"{where}: {found} holds neither a {_CONFIG} that names an SDF file nor a model.sdf")


def _files_of(config: Path) -> list[str]:
    """The SDF files that a model.config names, newest version last as Gazebo writes them, so best first here."""
    try:
        root: Element | None = defusedxml.ElementTree.parse(config).getroot()
    except (OSError, defusedxml.ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise WorldFileError(f"{config} cannot be read: {error}") from error
    return [(entry.text or "").strip() for entry in (root.findall("sdf") if root is not None else ())][::-1]
