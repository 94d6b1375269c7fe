"""The generated page in docs/ is what the code says now."""

from __future__ import annotations

from pathlib import Path

from robot_ai.cli.docs import PAGE, parameters_page
from robot_ai.cli.main import main

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_committed_page_is_up_to_date() -> None:
    assert (DOCS / PAGE).read_text(encoding="utf-8") == parameters_page(), "run `make docs` and commit the result"


def test_every_parameter_of_every_node_is_in_it() -> None:
    page = parameters_page()
    for name in ("backend", "class_filter", "max_rate", "step_padding", "qos_overrides"):
        assert f"`{name}" in page


def test_the_verb_writes_it(tmp_path: Path) -> None:
    assert main(["docs", "--write", "--directory", str(tmp_path)]) == 0
    assert (tmp_path / PAGE).read_text(encoding="utf-8") == parameters_page()
