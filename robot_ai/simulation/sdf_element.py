"""An XML element that knows where it stands, so that whatever is wrong with it can be told with its place."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

import defusedxml.ElementTree
import numpy as np
from defusedxml.common import DefusedXmlException
from numpy.typing import NDArray

from robot_ai.geometry.transforms import RigidTransform
from robot_ai.simulation.errors import SdfElementError, SdfValueError, WorldFileError

_TRUE, _FALSE = ("true", "1"), ("false", "0")


@dataclass(frozen=True)
class RawPose:
    """A pose as it is written: `transform` takes points of the posed thing into the frame `relative_to`, which is empty
    when the element does not say."""

    transform: RigidTransform
    relative_to: str = ""

    @classmethod
    def identity(cls) -> RawPose:
        """No pose given."""
        return cls(RigidTransform.identity())


class SdfElement:
    """One element of an SDF file."""

    def __init__(self, xml: Element, file: Path, parent: str = "") -> None:
        self._xml = xml
        self.file = file
        name = xml.get("name")
        self.place = f"{parent}/{xml.tag}" + (f"[{name}]" if name else "")

    @property
    def tag(self) -> str:
        """The element's tag."""
        return self._xml.tag

    @property
    def where(self) -> str:
        """File and element, for messages."""
        return f"{self.file}: {self.place.lstrip('/')}"

    def attribute(self, name: str, default: str | None = None) -> str:
        """An attribute. Raises SdfElementError when it is missing and there is no default."""
        value = self._xml.get(name, default)
        if value is None:
            raise SdfElementError(f"{self.where} has no attribute '{name}'")
        return value.strip()

    def check(self, known: Collection[str]) -> None:
        """Raises SdfElementError for a child that is not among the known tags; others' prefixed tags may stand."""
        for child in self._xml:
            if isinstance(child.tag, str) and ":" not in child.tag and "{" not in child.tag and child.tag not in known:
                raise SdfElementError(
                    f"{self.where} holds the unknown element <{child.tag}>; SDF 1.9 knows here: "
                    f"{', '.join(sorted(known))}"
                )

    def children(self, tag: str) -> list[SdfElement]:
        """The children of that tag, in order."""
        return [SdfElement(child, self.file, self.place) for child in self._xml if child.tag == tag]

    def child(self, tag: str) -> SdfElement | None:
        """The first child of that tag."""
        found = self._xml.find(tag)
        return None if found is None else SdfElement(found, self.file, self.place)

    def need(self, tag: str) -> SdfElement:
        """The first child of that tag. Raises SdfElementError when there is none."""
        found = self.child(tag)
        if found is None:
            raise SdfElementError(f"{self.where} has no <{tag}>")
        return found

    @property
    def content(self) -> str:
        """The element's own text."""
        return (self._xml.text or "").strip()

    def text(self, tag: str, default: str | None = None) -> str:
        """The text of a child. Raises SdfElementError when it is missing and there is no default."""
        found = self.child(tag)
        if found is None:
            return self.need(tag).content if default is None else default
        return found.content

    def number(self, tag: str, default: float | None = None) -> float:
        """A child's text as a number. Raises SdfElementError, SdfValueError."""
        return self.numbers(tag, 1, None if default is None else (default,))[0]

    def count(self, tag: str, default: int | None = None) -> int:
        """A child's text as a whole number, 0 or more. Raises SdfElementError, SdfValueError."""
        value = self.number(tag, None if default is None else float(default))
        if value < 0 or value != int(value):
            raise SdfValueError(f"{self.where}/{tag} is {value:g}; expected a whole number, 0 or more")
        return int(value)

    def flag(self, tag: str, default: bool) -> bool:
        """A child's text as true or false. Raises SdfValueError."""
        text = self.text(tag, "true" if default else "false").lower()
        if text not in (*_TRUE, *_FALSE):
            raise SdfValueError(f"{self.where}/{tag} is '{text}'; expected true or false")
        return text in _TRUE

    def numbers(self, tag: str, count: int, default: Sequence[float] | None = None) -> tuple[float, ...]:
        """A child's text as `count` finite numbers. Raises SdfElementError, SdfValueError."""
        found = self.child(tag)
        if found is None:
            return self.need(tag).vector(count) if default is None else tuple(default)
        return found.vector(count)

    def vector(self, *counts: int) -> tuple[float, ...]:
        """The element's own text as one of `counts` many numbers; "inf" is one, NaN is none. Raises SdfValueError."""
        words = self.content.split()
        try:
            values = tuple(float(word) for word in words)
        except ValueError:
            values = (math.nan,)
        if len(values) not in counts or any(math.isnan(value) for value in values):
            expected = " or ".join(str(count) for count in counts)
            raise SdfValueError(f"{self.where} is '{self.content}'; expected {expected} number(s)")
        return values

    def pose(self, tag: str = "pose") -> RawPose:
        """A child <pose>: "x y z roll pitch yaw", by attribute in degrees or with a quaternion x y z w; SDF 1.9.

        Raises SdfValueError.
        """
        found = self.child(tag)
        if found is None:
            return RawPose.identity()
        relative_to = found.attribute("relative_to", "")
        if not found.content:
            return RawPose(RigidTransform.identity(), relative_to)
        quaternion = found.attribute("rotation_format", "euler_rpy") == "quat_xyzw"
        values = found.vector(7 if quaternion else 6)
        if not all(math.isfinite(value) for value in values):
            raise SdfValueError(f"{found.where} is '{found.content}'; expected finite numbers")
        if quaternion:
            if not any(values[3:]):
                raise SdfValueError(f"{found.where}: the quaternion has no length")
            return RawPose(RigidTransform.from_quaternion(values[:3], values[3:]), relative_to)
        degrees = found.attribute("degrees", "false").lower() in _TRUE
        return RawPose(from_euler(values[:3], values[3:], degrees), relative_to)


def from_euler(position: Sequence[float], rpy: Sequence[float], degrees: bool = False) -> RigidTransform:
    """SDF's convention: turned about the fixed x, then y, then z axis."""
    # Only the process that reads a world needs it, and it is large.
    from scipy.spatial.transform import Rotation

    rotation: NDArray[np.float64] = Rotation.from_euler("xyz", list(rpy), degrees=degrees).as_matrix()
    return RigidTransform(rotation, np.array(position, float))


def read_sdf(file: Path) -> SdfElement:
    """The root <sdf> of a file. Raises WorldFileError."""
    try:
        root: Element | None = defusedxml.ElementTree.parse(file).getroot()
    except OSError as error:
        raise WorldFileError(f"{file} cannot be read: {error.strerror}; expected an SDF file") from error
    except (defusedxml.ElementTree.ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise WorldFileError(f"{file} is no XML: {error}") from error
    if root is None or root.tag != "sdf":
        raise WorldFileError(f"{file} holds <{'nothing' if root is None else root.tag}>; expected <sdf>")
    return SdfElement(root, file)
