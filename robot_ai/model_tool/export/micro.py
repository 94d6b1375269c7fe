"""TensorFlow Lite for Microcontrollers: an int8 model as a C array, with what its firmware has to provide."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from robot_ai.model_tool.export import toolbox
from robot_ai.model_tool.export.errors import ConverterError

# Pinned: the project publishes a build of every day's sources.
REQUIREMENTS = ("tflite-micro==0.dev20261023182759", "numpy")
_BYTES_PER_LINE = 12
# The resolver's methods that are not called as the operation's words would have it.
_METHODS = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}
_MEASURE = """
import json, sys
from tflite_micro.python.tflite_micro import runtime

model = open(sys.argv[1], "rb").read()

def fits(size):
    try:
        interpreter = runtime.Interpreter.from_bytes(model, arena_size=size)
        return interpreter is not None
    except Exception as error:
        last.append(str(error))
        return False

last = []
high = max(1 << 14, len(model))
while not fits(high):
    high *= 2
    if high > 1 << 30:
        sys.exit("the interpreter refuses the model at any arena size: " + last[-1])
low = 0
while high - low > 1024:
    middle = (low + high) // 2
    if fits(middle):
        high = middle
    else:
        low = middle
high = (high + 15) // 16 * 16
interpreter = runtime.Interpreter.from_bytes(model, arena_size=high)
import numpy as np
detail = interpreter.get_input_details(0)
interpreter.set_input(np.zeros(detail["shape"], detail["dtype"]), 0)
interpreter.invoke()
print(json.dumps({"arena": high}))
"""


@dataclass(frozen=True)
class MicroModel:
    """arena_bytes: the smallest tensor arena in which the interpreter runs the model, to 1 KiB. operations: in order of
    their names, as TFLM's `MicroMutableOpResolver` adds them."""

    arena_bytes: int
    operations: tuple[str, ...]


def write(content: bytes, name: str, path: Path, say: Callable[[str], None]) -> MicroModel:
    """Writes NAME.h, NAME.cc and NAME.tflite into the directory `path`; `content` is an int8 .tflite file.

    The arena is measured with TFLM's own interpreter. Raises ConverterError when that refuses the model.
    """
    path.mkdir(parents=True)
    file = path / f"{name}.tflite"
    file.write_bytes(content)
    operations = _operations(file)
    say("measuring the arena with TensorFlow Lite Micro's interpreter")
    python = toolbox.python_with("tflite-micro", REQUIREMENTS, say)
    answer = toolbox.run(python, _MEASURE, [str(file)], "TensorFlow Lite Micro")
    try:
        arena = int(json.loads(answer.strip().splitlines()[-1])["arena"])
    except (ValueError, KeyError, IndexError) as error:
        raise ConverterError(f"TensorFlow Lite Micro gave no arena size: {answer[-300:]}") from error
    result = MicroModel(arena, operations)
    symbol = "g_" + "".join(character if character.isalnum() else "_" for character in name)
    (path / f"{name}.h").write_text(_header(symbol, name, len(content), result), encoding="utf-8")
    (path / f"{name}.cc").write_text(_source(symbol, name, content), encoding="utf-8")
    return result


def _operations(file: Path) -> tuple[str, ...]:
    """The names of the built-in operations that a .tflite file uses."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = Interpreter(model_path=str(file), experimental_op_resolver_type=plain)
    return tuple(sorted({str(detail["op_name"]) for detail in interpreter._get_ops_details()}))


def _header(symbol: str, name: str, size: int, model: MicroModel) -> str:
    adds = " &&\n    ".join(f"resolver.Add{resolver_method(operation)}() == 0" for operation in model.operations)
    return f"""// {name} for TensorFlow Lite for Microcontrollers. Written by `robot_ai model export`.
#pragma once

#include <cstddef>

extern const unsigned char {symbol}[];  // flatbuffer, aligned to 16 bytes
constexpr std::size_t {symbol}_size = {size};
// The smallest arena in which the interpreter ran the model, measured on a 64-bit host; a 32-bit target needs less.
constexpr std::size_t {symbol}_arena_size = {model.arena_bytes};
constexpr unsigned int {symbol}_operation_count = {len(model.operations)};

// Adds the model's operations to a tflite::MicroMutableOpResolver<{symbol}_operation_count>; false: it has no room.
template <class Resolver>
bool {symbol}_add_operations(Resolver &resolver) {{
  return {adds};
}}
"""


def resolver_method(operation: str) -> str:
    """`LEAKY_RELU` to `LeakyRelu`, `CONV_2D` to `Conv2D`: as the resolver's methods are called."""
    return _METHODS.get(operation) or "".join(
        part if part[0].isdigit() else part.capitalize() for part in operation.split("_")
    )


def _source(symbol: str, name: str, content: bytes) -> str:
    lines = [
        "  " + ", ".join(f"0x{byte:02x}" for byte in content[start : start + _BYTES_PER_LINE]) + ","
        for start in range(0, len(content), _BYTES_PER_LINE)
    ]
    body = "\n".join(lines)
    return f'#include "{name}.h"\n\nalignas(16) const unsigned char {symbol}[] = {{\n{body}\n}};\n'
