"""Remembers what .venv holds. No stamp means that it is not known to be whole, and then it is built anew."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

_NAME = "robot_ai.json"
_IGNORED = {"__pycache__", "build"}


@dataclass
class Stamp:
    """What was installed, from which sources, and where."""

    venv: str
    python: str
    setup: str = ""
    interfaces: dict[str, str] = field(default_factory=dict)
    extras: list[str] = field(default_factory=list)


def _digest(files: list[Path], root: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        # Names and lengths enter too, or moving bytes from one file to the next would go unnoticed.
        total.update(f"{path.relative_to(root)}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


def setup_digest(root: Path) -> str:
    """Returns a hash of the files that say what is installed."""
    return _digest([root / name for name in ("setup.py", "setup.cfg") if (root / name).is_file()], root)


def interface_digests(root: Path) -> dict[str, str]:
    """Returns a hash for every interface package: of its files, and of the builder they share."""
    folder = root / "interfaces"
    builder = list(folder.glob("rosidl_wheel/*.py"))
    digests = {}
    for manifest in sorted(folder.glob("*/package.xml")):
        package = manifest.parent
        own = [p for p in package.rglob("*") if p.is_file() and not _IGNORED & set(p.relative_to(package).parts)]
        digests[package.name] = _digest(own + builder, folder)
    return digests


def read(venv: Path) -> Stamp | None:
    """Returns the stamp of a whole environment; None where there is none, or where it was moved or lost its Python."""
    try:
        stamp = Stamp(**json.loads((venv / _NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    # Scripts in bin/ hold absolute paths; bin/python is a link to a Python that an upgrade may have removed.
    if stamp.venv != str(venv) or not (venv / "bin" / "python").exists():
        return None
    return stamp


def remove(venv: Path) -> None:
    """Declares the environment to be in the making."""
    (venv / _NAME).unlink(missing_ok=True)


def write(venv: Path, stamp: Stamp) -> None:
    """Declares the environment to be whole."""
    draft = venv / f"{_NAME}.new"
    draft.write_text(json.dumps(asdict(stamp), indent=2), encoding="utf-8")
    draft.replace(venv / _NAME)
