"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes


def return_memory() -> None:
    """Asks glibc for it, where that is the C library: with the settings for large images (docs/robot.md) it keeps half
    a gigabyte of what is freed."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
