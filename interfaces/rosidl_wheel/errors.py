"""What can go wrong while an interface package becomes a wheel: one class per fault."""

from __future__ import annotations


class InterfaceBuildError(Exception):
    """The root of every explained refusal of this builder."""


class ManifestError(InterfaceBuildError):
    """A package.xml lacks something, or names something that this builder cannot provide."""


class UnpinnedDependencyError(InterfaceBuildError):
    """An interface package depends on one whose wheel has no pinned version here."""


class MissingRosWheelError(InterfaceBuildError):
    """rosidl or a message package is not installed where the build runs."""


class MissingCompilerError(InterfaceBuildError):
    """No C or C++ compiler was found."""


class MissingPythonHeadersError(InterfaceBuildError):
    """The interpreter came without Python.h."""


class CompilationError(InterfaceBuildError):
    """The compiler or the linker refused generated code."""
