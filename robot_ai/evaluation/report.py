"""Scores as text, for people and for a file."""

from __future__ import annotations

import math
from typing import Any

from robot_ai.evaluation.scorer_2d import Scorer2D
from robot_ai.evaluation.scorer_3d import Scorer3D

Table = dict[str, dict[str, Any]]


def table_2d(scorer: Scorer2D) -> Table:
    """A row for each class that was there or was said, those with most truths first."""
    settings = scorer.settings
    ordered = sorted(scorer.classes.items(), key=lambda item: (-item[1].truths, item[0]))
    return {
        name: {
            "truths": tally.truths,
            "precision": tally.precision,
            "recall": tally.recall,
            "AP50": tally.ap50,
            "AP": tally.ap,
            f"clear, < {settings.near:g} m": scorer.clear[name][1],
            "recall of these": scorer.clear_recall(name),
        }
        for name, tally in ordered
    }


def table_3d(scorer: Scorer3D) -> Table:
    """A row for each class that was there or was said, those with most truths first."""
    ordered = sorted(scorer.classes.items(), key=lambda item: (-item[1].truths, item[0]))
    return {
        name: {
            "truths": tally.truths,
            "precision": tally.precision,
            "recall": tally.recall,
            "range error p50 (m)": tally.median_range_error,
            "off p50 (m)": sorted(tally.gaps)[len(tally.gaps) // 2] if tally.gaps else math.nan,
        }
        for name, tally in ordered
    }


def as_text(table: Table) -> str:
    """Aligned columns; a value that is not known is a dash."""
    if not table:
        return "  nothing was there, and nothing was said"
    columns = list(next(iter(table.values())))
    widths = [max(len(column), 7) for column in columns]
    lines = ["  " + " " * 14 + "  ".join(c.rjust(w) for c, w in zip(columns, widths, strict=True))]
    for name, row in table.items():
        cells = (_cell(row[column]).rjust(width) for column, width in zip(columns, widths, strict=True))
        lines.append(f"  {name:<14}" + "  ".join(cells))
    return "\n".join(lines)


def as_plain(table: Table) -> Table:
    """The table for JSON, which knows no NaN: what is not known is null."""
    return {
        name: {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in row.items()}
        for name, row in table.items()
    }


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return str(value)
