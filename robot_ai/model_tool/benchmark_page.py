"""The benchmark's results for people: a table, a plot, and scalars for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from robot_ai.backends.tensorflow_process import quiet_import
from robot_ai.errors import pip_install
from robot_ai.model_tool.benchmark import BenchmarkReport, run_name, summary
from robot_ai.model_tool.export.errors import ConverterMissingError
from robot_ai.model_tool.tables import aligned

_COLUMNS = (
    ("forward_p50_ms", "forward p50"),
    ("forward_p95_ms", "p95"),
    ("end_to_end_p50_ms", "end to end p50"),
    ("end_to_end_p95_ms", "p95"),
    ("images_per_second", "images/s"),
    ("cpu_ms", "CPU ms"),
    ("load_seconds", "load s"),
    ("memory_mib", "MiB"),
)


def table(report: BenchmarkReport) -> str:
    """The cases, fastest first, as a table in Markdown; times in milliseconds."""
    rows = [["artifact", "threads", *(title for _, title in _COLUMNS)]]
    measured = [case for case in report.cases if not case.fault]
    for case in sorted(measured, key=lambda case: case.percentile("end_to_end", 50)):
        numbers = summary(case)
        rows.append([case.key, str(case.threads or "default"), *(f"{numbers[name]:.1f}" for name, _ in _COLUMNS)])
    return aligned(rows)


def check_outputs(plot_file: Path | None, tensorboard: Path | None) -> None:
    """Raises ConverterMissingError when what writes them is not installed: before minutes are spent on measuring."""
    if plot_file:
        _pyplot()
    if tensorboard:
        _writer_class()


def plot(report: BenchmarkReport, path: Path) -> None:
    """Writes bars of the end-to-end time, the forward pass' part of it darker, p95 as a whisker.

    Raises ConverterMissingError when matplotlib is not installed.
    """
    pyplot = _pyplot()
    cases = sorted((c for c in report.cases if not c.fault), key=lambda c: c.percentile("end_to_end", 50), reverse=True)
    names = [f"{case.key}, {case.threads or 'default'} thr." for case in cases]
    forward = [case.percentile("forward", 50) for case in cases]
    whole = [case.percentile("end_to_end", 50) for case in cases]
    beyond = [case.percentile("end_to_end", 95) - middle for case, middle in zip(cases, whole, strict=True)]
    figure, axes = pyplot.subplots(figsize=(9, 1.2 + 0.34 * len(cases)), layout="constrained")
    axes.barh(names, whole, xerr=[[0.0] * len(cases), beyond], color="#9ecae1", ecolor="#444444", label="end to end")
    axes.barh(names, forward, color="#3182bd", label="forward pass")
    for row, middle in enumerate(whole):
        axes.annotate(f" {middle:.1f}", (middle + beyond[row], row), va="center", fontsize=8)
    axes.set_xlabel("milliseconds per 640x480 image: median, whisker to p95")
    axes.set_title(f"{report.model} on {report.machine['processor']}, {report.machine['cores']} cores", fontsize=10)
    axes.legend(loc="upper right", fontsize=8)  # the bars there are the shortest
    axes.margins(x=0.12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def write_scalars(report: BenchmarkReport, directory: Path) -> None:
    """Writes, as a run of TensorBoard per case, each pass' times and the summary.

    Raises ConverterMissingError when TensorBoard is not installed.
    """
    writer_class = _writer_class()
    for case in report.cases:
        if case.fault:
            continue
        writer = writer_class(str(directory / run_name(case.key, case.threads)))
        for tag in ("forward_ms", "end_to_end_ms"):
            for step, value in enumerate(getattr(case, tag)):
                writer.add_scalar(f"passes/{tag}", value, step)
        for name, value in summary(case).items():
            writer.add_scalar(f"summary/{name}", value, 0)
        writer.close()


def _pyplot() -> Any:
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise ConverterMissingError(f"--plot needs matplotlib: {pip_install('benchmark')} ({error})") from error
    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _writer_class() -> Any:
    try:
        with quiet_import():
            from tensorboard.compat import tf
            from tensorboard.summary import Writer

            # It imports TensorFlow, where that is installed, when something of it is first asked for.
            tf.io  # noqa: B018
    except ImportError as error:
        raise ConverterMissingError(f"--tensorboard needs TensorBoard: {pip_install('benchmark')} ({error})") from error
    return Writer
