"""The environment of a process that sends or receives images on this machine. Knows no rclpy."""

from __future__ import annotations

import os

from robot_ai.share import share_file

SHARED_MEMORY_PROFILE = "config/fastdds_shared_memory.xml"


def image_transport_environment() -> dict[str, str]:
    """Variables that let whole camera frames through shared memory; the other processes' settings are not touched.

    The Fast DDS profile widens the shared-memory segment. The glibc settings keep frame-sized blocks in the heap:
    otherwise each frame is mapped, zeroed by the kernel and unmapped again, which costs more than copying it. Huge
    pages save a tenth of the way of a 1080p frame, most of whose pages the processor would have to look up.
    Raises ShareNotFoundError.
    """
    tunables = [os.environ.get("GLIBC_TUNABLES", ""), "glibc.malloc.hugetlb=1"]
    return {
        # Jazzy's Fast DDS 2.14 reads this name; later ones read FASTDDS_DEFAULT_PROFILES_FILE.
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(share_file(SHARED_MEMORY_PROFILE)),
        "MALLOC_MMAP_THRESHOLD_": "134217728",
        "MALLOC_TRIM_THRESHOLD_": "536870912",
        "MALLOC_TOP_PAD_": "67108864",
        # Before glibc 2.35 the name is unknown and ignored.
        "GLIBC_TUNABLES": ":".join(dict.fromkeys(filter(None, ":".join(tunables).split(":")))),
    }
