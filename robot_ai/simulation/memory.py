"""How little memory a process can do with."""

from __future__ import annotations

import ctypes

_PR_SET_THP_DISABLE = 41


def return_memory() -> None:
    """Asks glibc for it, where that is the C library: with the settings for large images (docs/robot.md) it keeps half
    a gigabyte of what is freed."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def small_pages() -> None:
    """Asks Linux for no huge pages from now on (prctl(2)); elsewhere nothing happens.

    The settings for large images want them, and a heap of many small blocks then takes 2 MB where it needs a few KB:
    27 MB in the simulator, whose images gain nothing by them.
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
