"""A card's artifacts: the files that backends load, read from `model.yaml` and checked before use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from robot_ai.models.errors import ArtifactChecksumError, ArtifactMissingError, ArtifactPathError
from robot_ai.models.fields import Fields

PRECISIONS = ("float32", "float16", "bfloat16", "int8")
# How far an output may be from the golden one, as a part of that output's largest magnitude.
TOLERANCES = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 1e-1, "int8": 3e-1}
_KEY = re.compile(r"[a-z0-9_]+(/[A-Za-z0-9_.-]+)?")


@dataclass(frozen=True)
class Artifact:
    """What one backend loads.

    path: the file or directory, None when the backend needs none. sha256: its checksum, 64 hex digits, given with a
    path. layout: the input layout this artifact takes, where it differs from the card's. network: for weights without a
    graph, the class that builds the network, as `package.module:Class`. precision: of the stored computation. tensors:
    the artifact's own names of inputs and outputs, by the card's names, where the two differ. tolerance: how far from
    the golden outputs it may be, where the precision's own tolerance does not fit. options: free, read by the backend.
    """

    path: Path | None = None
    sha256: str | None = None
    layout: str | None = None
    network: str | None = None
    precision: str = "float32"
    tensors: Mapping[str, str] = field(default_factory=dict)
    tolerance: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def own_name(self, name: str) -> str:
        """The artifact's name of a tensor that the card calls `name`."""
        return self.tensors.get(name, name)


def backend_of(key: str) -> str:
    """The backend that an artifact's key names: `litert` for `litert` and for `litert/int8`."""
    return key.partition("/")[0]


def parse_artifacts(entries: Fields, card: Fields, directory: Path) -> dict[str, Artifact]:
    """Reads the mapping `artifacts`; keys are `backend` or `backend/variant`. Files are not touched."""
    if not entries.keys():
        raise card.fault("artifacts", "is empty", "an entry for at least one backend")
    artifacts = {}
    for key in entries.keys():  # noqa: SIM118 (not a dict)
        if not _KEY.fullmatch(key):
            raise card.fault("artifacts", f"has the key {key!r}", "a backend, or backend/variant such as litert/int8")
        artifacts[key] = _parse_artifact(entries.mapping(key, "a mapping with path, sha256, ..."), directory)
    return artifacts


def parse_file(fields: Fields, directory: Path) -> tuple[Path | None, str | None]:
    """Reads `path` and `sha256`, which come together or not at all."""
    path = fields.text("path", "a file beside the card") if fields.has("path") else None
    sha256 = fields.text("sha256", "the file's checksum") if fields.has("sha256") else None
    if (path is None) != (sha256 is None):
        given, absent = ("path", "sha256") if path else ("sha256", "path")
        raise fields.fault(given, f"is given without '{absent}'", "both, or neither for a backend without a file")
    if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise fields.fault("sha256", f"is {sha256!r}", "64 lower-case hex digits, as `robot_ai model info` prints them")
    return (_inside(directory, path, fields) if path is not None else None), sha256


def check_file(card: Path, key: str, path: Path | None, sha256: str | None, checked: dict[Path, str]) -> None:
    """Compares a file or directory, named by the card's `key`, with its checksum.

    `checked` keeps each from being read twice. Raises ArtifactMissingError or ArtifactChecksumError.
    """
    if path is None:
        return
    if path not in checked:
        try:
            if not path.exists():
                raise ArtifactMissingError(
                    f"{card}: '{key}.path' names {path}, which is no file or directory. Restore it or correct the path"
                )
            checked[path] = checksum(path)
        except OSError as error:
            raise ArtifactMissingError(
                f"{card}: '{key}.path' names {path}, which cannot be read ({error.strerror}). Check its permissions"
            ) from error
    if checked[path] != sha256:
        raise ArtifactChecksumError(
            f"{card}: '{key}.sha256': {path} has sha256 {checked[path]}; expected {sha256}. "
            "The file is damaged or was replaced: restore it, or correct the card if the change was meant"
        )


def checksum(path: Path) -> str:
    """The sha256 of a file, or of a directory: of its files' relative paths, lengths and contents, sorted by path.

    A link or special file inside a directory is refused, with ArtifactPathError: what it leads to could change
    unnoticed, and may lie outside.
    """
    digest = hashlib.sha256()
    if path.is_file():
        _digest_file(path, digest)
        return digest.hexdigest()
    for file in sorted(path.rglob("*"), key=lambda item: item.relative_to(path).as_posix()):
        if file.is_symlink() and not file.resolve().is_file():
            raise ArtifactPathError(f"{file} is a link to no file; expected plain files only. Copy the artifact anew")
        if file.is_file():
            digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
            _digest_file(file, digest)
    return digest.hexdigest()


def _digest_file(path: Path, digest: Any) -> None:
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)


def _parse_artifact(fields: Fields, directory: Path) -> Artifact:
    path, sha256 = parse_file(fields, directory)
    network = fields.text("network", "package.module:Class") if fields.has("network") else None
    if network is not None and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", network):
        raise fields.fault("network", f"is {network!r}", "package.module:Class")
    artifact = Artifact(
        path=path,
        sha256=sha256,
        layout=fields.choice("layout", ("NCHW", "NHWC")) if fields.has("layout") else None,
        network=network,
        precision=fields.choice("precision", PRECISIONS) if fields.has("precision") else "float32",
        tensors=_parse_names(fields) if fields.has("tensors") else {},
        tolerance=fields.number("tolerance", 0, 1e3) if fields.has("tolerance") else None,
        options=fields.mapping("options", "a mapping").free() if fields.has("options") else {},
    )
    fields.finish()
    return artifact


def _parse_names(fields: Fields) -> dict[str, str]:
    names = fields.mapping("tensors", "the artifact's tensor names, by the card's")
    return {name: names.text(name, "a tensor's name in the artifact") for name in names.keys()}  # noqa: SIM118


def _inside(directory: Path, path: str, fields: Fields) -> Path:
    """Joins an artifact's path to the card's directory.

    The check is on the text of the path: links inside the directory stay allowed, because `colcon build
    --symlink-install` links each file back to the sources.
    """
    relative = PurePosixPath(path)
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or "\\" in path or "\0" in path:
        raise ArtifactPathError(
            f"{directory / 'model.yaml'}: '{fields.path_of('path')}' is {path!r}, which does not lie inside the "
            "card's directory; expected a relative path below it. Put the file beside the card"
        )
    return directory / relative
