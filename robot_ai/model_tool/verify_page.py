"""The result of a verification for people: a table, and beneath it what is wrong and what was not run."""

from __future__ import annotations

from robot_ai.model_tool.tables import aligned
from robot_ai.model_tool.verify import Report, Row

_HEAD = ["artifact", "tensors max", "mean", "boxes", "IoU ≥ 0.99", "least IoU", "score diff.", "AP", "AP50", ""]


def page(report: Report) -> str:
    """The table in Markdown, then a line for each fault and each artifact that was not run."""
    rows = [_HEAD, *(_cells(row, report.reference) for row in report.rows if row.tensors is not None)]
    lines = [f"{report.model}, {report.samples}, beside {report.reference}", "", aligned(rows), ""]
    lines += [f"{row.key}: {fault}" for row in report.rows for fault in row.faults]
    lines += [f"{row.key}: not run: {row.not_run}" for row in report.rows if row.not_run]
    ran = sum(not row.not_run for row in report.rows)
    lines.append(
        f"{len(report.failed)} of {ran} artifacts beyond tolerance"
        if report.failed
        else f"all {ran} artifacts that ran are the same model, within the tolerances of their precision"
    )
    return "\n".join(lines)


def _cells(row: Row, reference: str) -> list[str]:
    assert row.tensors is not None and row.agreement is not None
    found = row.agreement
    boxes = f"{found.pairs} + {found.alone} alone" if found.alone else f"{found.pairs}"
    precision = ["-" if ap is None else f"{ap:.3f}" for ap in (row.average_precision, row.average_precision_50)]
    verdict = "FAILED" if row.faults else "reference" if row.key == reference else "ok"
    return [
        row.key,
        f"{row.tensors.largest:.2g}",
        f"{row.tensors.mean:.2g}",
        boxes,
        f"{found.exact}/{found.pairs}",
        f"{found.smallest_overlap:.3f}",
        f"{found.largest_score_difference:.4f}",
        *precision,
        verdict,
    ]
