"""The compact detections: a fixed number of rows of five float32 numbers, with two numbers before them.

    data[0]   how many rows are filled
    data[1]   age of the detections when they were sent, in seconds; NaN when unknown
    data[2:]  rows of class index, score, bearing (rad), range (m), size (rad); unused rows hold -1, 0, 0, 0, 0

It is the `data` of a std_msgs/Float32MultiArray, whose layout says the same: `data_offset` 2, one dimension of rows and
one of fields. docs/micro_ros.md says why this message.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from robot_ai.mcu.errors import CompactDetectionsError
from robot_ai.mcu.polar import PolarDetections

FIELDS = ("class", "score", "bearing", "range", "size")
ROWS_LABEL = "detection"
FIELDS_LABEL = ",".join(FIELDS)
OFFSET = 2
MAX_ROWS = 20
"""Most rows whose message fits one best-effort XRCE message of 512 bytes, which leaves 496 for the CDR."""

_UNUSED = (-1.0, 0.0, 0.0, 0.0, 0.0)


def pack(detections: PolarDetections, rows: int, age: float) -> NDArray[np.float32]:
    """The first `rows` detections as (2 + 5 * rows,) float32; `age` in seconds."""
    data = np.empty(OFFSET + rows * len(FIELDS), np.float32)
    filled = min(len(detections), rows)
    data[0], data[1] = filled, age
    table = data[OFFSET:].reshape(rows, len(FIELDS))
    table[filled:] = _UNUSED
    for column, values in enumerate(vars(detections).values()):
        table[:filled, column] = values[:filled]
    return data


def unpack(data: NDArray[np.float32]) -> tuple[PolarDetections, float]:
    """The detections and their age, from what `pack` made. Raises CompactDetectionsError."""
    rows, rest = divmod(data.size - OFFSET, len(FIELDS))
    if data.ndim != 1 or rows < 0 or rest:
        raise CompactDetectionsError(f"{data.shape} numbers; expected 2 + 5 per row in one dimension")
    filled = data[0]
    if not (0 <= filled <= rows and filled == int(filled)):
        raise CompactDetectionsError(f"data[0] tells of {filled} filled rows; expected 0 to {rows}")
    table = data[OFFSET:].reshape(rows, len(FIELDS))[: int(filled)].astype(np.float64)
    return PolarDetections(table[:, 0].astype(np.int64), *table[:, 1:].T), float(data[1])


def serialized_size(rows: int) -> int:
    """Bytes of the Float32MultiArray as CDR without its encapsulation header."""
    size = 4
    for label in (ROWS_LABEL, FIELDS_LABEL):
        size = _aligned(size) + 4 + len(label) + 1
        size = _aligned(size) + 8
    return size + 4 + 4 + 4 * (OFFSET + rows * len(FIELDS))


def _aligned(size: int) -> int:
    return size + -size % 4
