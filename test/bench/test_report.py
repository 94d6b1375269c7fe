from __future__ import annotations

import math

import pytest

from bench.report import BEGIN, END, at_least, at_most, machine, percentile, rate, replace_measured, slope, table


def test_percentiles_interpolate_between_values() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.5
    assert percentile([7.0], 95) == 7.0


def test_percentile_of_nothing_is_nan() -> None:
    assert math.isnan(percentile([], 50))


def test_rate_counts_intervals_not_events() -> None:
    assert rate([10.0, 10.5, 11.0]) == 2.0


@pytest.mark.parametrize("times", [[], [1.0], [1.0, 1.0]])
def test_rate_without_a_span_is_nan(times: list[float]) -> None:
    assert math.isnan(rate(times))


def test_slope_is_growth_per_count() -> None:
    assert slope([0, 100, 200], [50.0, 51.0, 52.0]) == pytest.approx(0.01)
    assert slope([0, 100, 200], [50.0, 50.0, 50.0]) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("counts", [[], [5], [5, 5]])
def test_slope_without_two_counts_is_nan(counts: list[int]) -> None:
    assert math.isnan(slope(counts, [1.0] * len(counts)))


def test_verdicts_include_the_bar_itself() -> None:
    assert at_most(3.0, 3.0) == "≤ 3: met"
    assert at_most(3.01, 3.0) == "≤ 3: missed"
    assert at_least(0.9, 0.9) == "≥ 0.9: met"
    assert at_least(149, 150) == "≥ 150: missed"


def test_what_was_not_measured_meets_no_bar() -> None:
    assert at_most(math.nan, 3.0).endswith("missed")
    assert at_least(math.nan, 0.9).endswith("missed")


def test_tables_round_floats_and_mark_what_is_missing() -> None:
    assert table(["a", "b"], [["x", 1.234], [2, math.nan]]) == "| a | b |\n|---|---|\n| x | 1.23 |\n| 2 | - |"


def test_only_the_part_between_the_markers_is_replaced() -> None:
    page = f"# Before\n\n{BEGIN}\nold\n{END}\n\nafter\n"
    once = replace_measured(page, "new\n")
    assert once == f"# Before\n\n{BEGIN}\nnew\n{END}\n\nafter\n"
    assert replace_measured(once, "new") == once


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END} {BEGIN}"])
def test_a_page_without_both_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="lacks the lines"):
        replace_measured(page, "new")


def test_the_machine_line_names_cores_python_and_every_version() -> None:
    line = machine()
    assert "cores" in line
    assert "Python 3." in line
    assert "numpy " in line
    assert "torch " in line
    assert "\n" not in line
