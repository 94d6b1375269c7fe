"""Zip archives and pickles from strangers, looked at before any framework opens them."""

from __future__ import annotations

import pickletools
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from robot_ai.backends.errors import ArtifactLoadError

# An archive that unpacks to more than this many times its size is a bomb.
_MAX_RATIO = 200
_CODE_OPCODES = {"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"}


def members_of(path: Path) -> list[str]:
    """The names of a zip archive's files. Raises ArtifactLoadError for an archive that is damaged or hostile.

    Refused are absolute paths, paths with `..`, links, names given twice (of which two readers may take another one
    each), and archives that unpack to far more than their size.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            damaged = archive.testzip()
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise ArtifactLoadError(f"{path} is not a readable archive: {error}. Restore it") from error
    if damaged is not None:
        raise ArtifactLoadError(f"{path} is damaged: '{damaged}' does not have its checksum. Restore it")
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename
        parts = re.split(r"[/\\]", name)
        if name.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in name:
            raise refusal(path, f"'{name}', which lies outside the archive's folder")
        if entry.external_attr >> 28 == 0o12:
            raise refusal(path, f"'{name}', which is a link")
        if name.lower() in seen:
            raise refusal(path, f"'{name}' twice")
        seen.add(name.lower())
    if sum(entry.file_size for entry in entries) > _MAX_RATIO * max(path.stat().st_size, 1 << 20):
        raise refusal(path, "contents that unpack to far more than its size")
    return [entry.filename for entry in entries]


def check_pickle(path: Path, member: str, content: bytes, allowed: Callable[[str, str], bool]) -> None:
    """Reads a pickle's instructions without executing them; only what is `allowed(module, name)` may be called.

    Raises ArtifactLoadError.
    """
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name in _CODE_OPCODES:
                raise refusal(path, f"'{member}', a pickle that looks up code ({opcode.name})")
            if opcode.name == "GLOBAL" and not allowed(*str(argument).split(" ", 1)):
                raise refusal(path, f"'{member}', a pickle with code in it ({str(argument).replace(' ', '.')})")
    except (ValueError, IndexError, EOFError, UnicodeDecodeError, TypeError) as error:
        raise ArtifactLoadError(f"{path} is damaged: '{member}' is no whole pickle: {error}. Restore it") from error


def refusal(path: Path, what: str) -> ArtifactLoadError:
    """The error for an archive with something in it that a model has no use for."""
    return ArtifactLoadError(
        f"{path} holds {what}; nothing of it was executed. Export it again, if you trust who made it"
    )
