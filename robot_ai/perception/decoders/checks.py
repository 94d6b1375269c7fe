"""Checks that decoders share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robot_ai.perception.decoders.errors import DecoderOptionError, NonFiniteOutputError, OutputMismatchError
from robot_ai.perception.decoders.protocol import DecoderContext, Outputs

Shape = tuple[int | None, ...]


def require_outputs(decoder: str, context: DecoderContext, expected: Mapping[str, Shape]) -> None:
    """Raises OutputMismatchError, which shows both sides, unless the network has the expected outputs."""
    fits = all(
        name in context.outputs and _shape_fits(context.outputs[name], shape) for name, shape in expected.items()
    )
    if not fits:
        raise _mismatch(decoder, _listing(expected), context)


def column_axis(decoder: str, context: DecoderContext, name: str, columns: int, preferred: int) -> int:
    """The axis, 1 or 2, of an output of rank 3 that holds `columns` values per row; `preferred` where both do.

    Raises OutputMismatchError, which shows both sides.
    """
    shape = context.outputs.get(name, ())
    axes = [axis for axis in (preferred, 3 - preferred) if len(shape) == 3 and shape[axis] == columns]
    if not axes:
        first, second = (_listing({name: (None, columns, None)}), _listing({name: (None, None, columns)}))
        raise _mismatch(decoder, f"{first} or {second}", context)
    return axes[0]


def require_options(decoder: str, options: Mapping[str, Any], known: Mapping[str, str]) -> None:
    """Raises DecoderOptionError for an option that is not in `known` (name: what it is)."""
    unknown = sorted(str(key) for key in options if key not in known)
    if unknown:
        listing = "; ".join(f"{name}: {meaning}" for name, meaning in known.items()) or "none"
        raise DecoderOptionError(f"decoder '{decoder}' has no option {', '.join(unknown)}; its options are {listing}")


def finite_item(outputs: Outputs, name: str, item: int) -> NDArray[Any]:
    """One batch item of an output, after making sure that it holds no NaN and no infinity."""
    return finite(outputs[name][item], name)


def finite(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array, of output `name`, after making sure that it holds no NaN and no infinity."""
    # Both survive into the sum, which costs a fraction of testing each element; finite elements may overflow it, so
    # that it alone does not condemn them.
    bad = 0 if np.isfinite(_sum(array)) else int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        raise NonFiniteOutputError(
            f"output '{name}' holds {bad} NaN or infinite of {array.size} values; expected finite ones. "
            "The weights are damaged, or the input or the precision does not suit the model"
        )
    return array


def _sum(array: NDArray[Any]) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(array.sum(dtype=np.float32 if array.dtype.itemsize < 4 else None))


def _mismatch(decoder: str, expected: str, context: DecoderContext) -> OutputMismatchError:
    return OutputMismatchError(
        f"the outputs do not fit decoder '{decoder}'. It reads: {expected}, for {context.num_classes} labels. The "
        f"model gives: {_listing(context.outputs)}. Correct 'outputs' and 'decoder', or 'labels', or choose another "
        "decoder"
    )


def _shape_fits(shape: Shape, expected: Shape) -> bool:
    return len(shape) == len(expected) and all(
        want is None or have == want for have, want in zip(shape, expected, strict=True)
    )


def _listing(shapes: Mapping[str, Shape]) -> str:
    def show(shape: Shape) -> str:
        first, *rest = ("any" if axis is None else str(axis) for axis in shape)
        return ", ".join(["batch" if first == "any" else first, *rest])

    return "; ".join(f"{name} ({show(shape)})" for name, shape in shapes.items())
