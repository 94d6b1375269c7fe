"""How long the threads of a forward pass wait for each other awake.

PyTorch computes with GNU OpenMP, whose threads spin for milliseconds at the end of each of a network's 150 operations.
On a robot other nodes want the cores meanwhile: NanoDet-g in two threads on two cores, beside one process that
computes, gave 17 passes per second instead of 75, and 4 beside two such. With a thousand turns before a thread sleeps
it gives 34 instead of 69; with none at all 42 instead of 55. Other frameworks lose about half.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping

# GNU OpenMP's own number where it finds more threads than cores.
SPIN_COUNT = "1000"


def let_threads_sleep(environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets how often a waiting thread looks before it sleeps, unless the user chose.

    To be called before PyTorch is imported, and before there are threads, as the C library's environment is not theirs
    to share.
    """
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & environment.keys():
        environment["GOMP_SPINCOUNT"] = SPIN_COUNT
