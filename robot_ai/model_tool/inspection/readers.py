"""What the readers of model files share."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Mapping
from typing import Any

from robot_ai.errors import pip_install
from robot_ai.model_tool.inspection.errors import MissingReaderError


def import_reader(module: str, extra: str, what: str) -> Any:
    """Imports the library that reads a format. Raises MissingReaderError, which names the pip extra."""
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:  # OSError: a shared library that does not load
        raise MissingReaderError(
            f"{what} are read with the Python package '{module.partition('.')[0]}', which cannot be imported "
            f"({error}). Install it with: {pip_install(extra)}"
        ) from error


def labels_in(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The class names that Ultralytics' exports carry in `names`, as a Python or JSON dictionary; else none."""
    names = literal(metadata.get("names", ""))
    if isinstance(names, dict):
        try:
            names = [names[key] for key in sorted(names, key=int)]
        except (TypeError, ValueError):
            return ()
    return tuple(map(str, names)) if isinstance(names, list | tuple) else ()


def literal(text: str) -> Any:
    """The value of a Python or JSON literal; None for anything else. Nothing is evaluated."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return None


def texts(mapping: Mapping[Any, Any]) -> dict[str, str]:
    """Metadata as texts: what is no text is written as JSON."""
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in mapping.items()}
