"""The PEP 517 entry of this package. pip accepts only a backend inside the tree it builds, so this file is the door
to the builder that all interface packages share: it lies beside this folder, or inside it in a source distribution.
"""

import sys
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_BUILDER_HOME = _HERE if (_HERE / "rosidl_wheel").is_dir() else _HERE.parent

sys.path.insert(0, str(_BUILDER_HOME))
try:
    from rosidl_wheel import (
        build_sdist,
        build_wheel,
        get_requires_for_build_sdist,
        get_requires_for_build_wheel,
        prepare_metadata_for_build_wheel,
    )
finally:
    # The other interface packages lie there too, and would be importable as empty namespaces.
    sys.path.remove(str(_BUILDER_HOME))

__all__ = [
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_wheel",
]
