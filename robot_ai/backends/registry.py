"""Backends by name, from the entry-point group `robot_ai.backends` of every installed package."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Any, cast

from robot_ai.backends.errors import BackendImportError, UnknownBackendError
from robot_ai.backends.protocol import Backend
from robot_ai.backends.support import is_importable

GROUP = "robot_ai.backends"


@dataclass(frozen=True)
class BackendInfo:
    """A backend that some package provides.

    installed: whether its framework can be imported. framework: the module that was found or else looked for, None when
    the backend needs none or does not say. reference: the entry point, `package.module:Class`.
    """

    name: str
    installed: bool
    framework: str | None
    reference: str


def available() -> list[BackendInfo]:
    """Every backend, by name, with whether its framework is installed. No framework is imported."""
    return [_inspect(name, points) for name, points in sorted(_entry_points().items())]


def create(name: str) -> Backend:
    """A new backend of that name, not yet loaded. Raises UnknownBackendError or BackendImportError."""
    points = _entry_points()
    if name not in points:
        known = ", ".join(sorted(points)) or "none (install robot_ai itself: its entry points are not visible)"
        raise UnknownBackendError(
            f"no backend is named '{name}'; installed packages provide: {known}. Choose one of these or install the "
            "package that provides it"
        )
    return cast(Backend, _load_class(name, points[name])())


def _entry_points() -> dict[str, list[metadata.EntryPoint]]:
    """The entry points by name; one that two records of a package repeat (egg-info and dist-info) counts once."""
    points: dict[str, list[metadata.EntryPoint]] = {}
    for point in metadata.entry_points(group=GROUP):
        same_name = points.setdefault(point.name, [])
        if all(point.value != other.value for other in same_name):
            same_name.append(point)
    return points


def _load_class(name: str, points: list[metadata.EntryPoint]) -> Any:
    if len(points) > 1:
        raise BackendImportError(
            f"backend '{name}' is provided more than once: {', '.join(point.value for point in points)}; expected one. "
            "Uninstall all but one of these packages"
        )
    try:
        return points[0].load()
    except Exception as error:  # a third party's module may raise anything while it is imported
        raise BackendImportError(
            f"backend '{name}' cannot be imported from {points[0].value}: {error}. "
            "Reinstall the package that provides it"
        ) from error


def _inspect(name: str, points: list[metadata.EntryPoint]) -> BackendInfo:
    """Looks at a backend's class, whose optional attribute `framework` names the module it imports in `load`.

    It may name several, of which one suffices.
    """
    reference = points[0].value
    try:
        framework = getattr(_load_class(name, points), "framework", None)
    except BackendImportError:
        return BackendInfo(name, installed=False, framework=None, reference=reference)
    if framework is None:
        return BackendInfo(name, installed=True, framework=None, reference=reference)
    modules = (framework,) if isinstance(framework, str) else tuple(framework)
    there = [module for module in modules if is_importable(module)]
    return BackendInfo(name, bool(there), (there or modules)[0], reference)
