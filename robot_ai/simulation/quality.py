"""What images may cost."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """shadow_size: pixels of the shadow map's edge, 0 for no shadows; antialiasing: samples per pixel; detail: meters,
    smaller details of meshes are left out."""

    shadow_size: int = 0
    antialiasing: int = 0
    detail: float = 0.004
