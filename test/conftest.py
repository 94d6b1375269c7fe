"""What all tests share: bounded threads, real photos, the stub's model card, the maintainers' shared data."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from stub_card import write_stub_card

from robot_ai.backends.interpreter import part_compilers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Each library takes all cores otherwise, and tests that measure time then measure the contention. They read these when
# they are imported, so nothing above may import one of them; child processes inherit them.
for _variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Tests import both frameworks directly, in whatever order.
part_compilers()

# No deadline: the machine may be busy. No database: tests leave nothing in the checkout.
hypothesis.settings.register_profile("robot_ai", deadline=None, database=None, print_blob=True)
hypothesis.settings.load_profile("robot_ai")

SKIMAGE_PHOTOS = ("astronaut", "chelsea", "coffee")
SKLEARN_PHOTOS = ("china", "flower")
PHOTOS = SKIMAGE_PHOTOS + SKLEARN_PHOTOS


@cache
def load_photo(name: str) -> NDArray[np.uint8]:
    """A real photo that ships in a wheel of scikit-image or scikit-learn, BGR, read-only; nothing is downloaded."""
    if name in SKIMAGE_PHOTOS:
        data = pytest.importorskip("skimage.data", reason="the photos ship in scikit-image (extra demo)")
        rgb = getattr(data, name)()
    else:
        datasets = pytest.importorskip("sklearn.datasets", reason="the photos ship in scikit-learn (extra demo)")
        rgb = datasets.load_sample_image(f"{name}.jpg")
    image: NDArray[np.uint8] = rgb[:, :, ::-1].copy(order="C")
    image.flags.writeable = False
    return image


@pytest.fixture(scope="session")
def photo() -> Callable[[str], NDArray[np.uint8]]:
    """`photo(name)` with a name of `PHOTOS`: astronaut, chelsea, coffee, china, flower."""
    return load_photo


@pytest.fixture(scope="session")
def photos() -> dict[str, NDArray[np.uint8]]:
    """All photos by name."""
    return {name: load_photo(name) for name in PHOTOS}


@pytest.fixture
def stub_card(tmp_path: Path) -> Callable[..., Path]:
    """`stub_card(size=416, layout="NHWC", resize="stretch", **options)` writes the stub's card; gives its directory."""

    def write(**options: Any) -> Path:
        return write_stub_card(tmp_path, **options)

    return write


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The directory of data too large for the repository: $ROBOT_AI_SHARED, or `shared` beside the checkout."""
    named = os.environ.get("ROBOT_AI_SHARED")
    place = Path(named) if named else Path(__file__).resolve().parents[2] / "shared"
    if not (place / "data").is_dir():
        pytest.skip(f"no data in {place}; set ROBOT_AI_SHARED to the directory that holds data/")
    return place
