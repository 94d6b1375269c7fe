"""Parameters from dataclass fields: ranges, refusals, texts, tables."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest

from robot_ai.nodes.camera_detector_parameters import CameraDetectorParameters
from robot_ai.nodes.image_source_parameters import ImageSourceParameters
from robot_ai.ros.errors import ParameterError
from robot_ai.ros.parameter_spec import check_change, from_text, markdown_table, parameter, specs_of


@dataclass(frozen=True)
class Example:
    rate: float = parameter(5.0, "frames per second", minimum=0.0, maximum=60.0, while_running=True)
    count: int = parameter(3, "how many", minimum=1, maximum=10_000)
    mode: str = parameter("raw", "how", choices=("raw", "compressed"))
    label: str = parameter("", "any text")
    cameras: tuple[str, ...] = parameter(("front",), "names", while_running=True)
    autostart: bool = parameter(True, "at once", read_only=True)
    not_a_parameter: int = 7


SPECS = specs_of(Example)


def test_fields_become_parameters_in_their_order():
    assert list(SPECS) == ["rate", "count", "mode", "label", "cameras", "autostart"]
    assert SPECS["rate"].name == "rate"
    assert SPECS["rate"].default == Example().rate == 5.0
    assert SPECS["cameras"].default == Example().cameras == ("front",)
    assert SPECS["count"].description == "how many"


@pytest.mark.parametrize(
    ("name", "type_name", "constraint"),
    [
        ("rate", "double", "0 to 60"),
        ("count", "integer", "1 to 10000"),
        ("mode", "string", "one of raw, compressed"),
        ("label", "string", ""),
        ("cameras", "string array", ""),
        ("autostart", "boolean", ""),
    ],
)
def test_type_and_constraint_in_words(name, type_name, constraint):
    assert SPECS[name].type_name == type_name
    assert SPECS[name].constraint == constraint


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("rate", value) for value in (0.0, 60.0, 29.97)],
        *[("count", value) for value in (1, 10_000)],
        ("mode", "compressed"),
        ("label", "anything at all"),
        ("cameras", ()),
        ("autostart", False),
    ],
)
def test_values_in_range_are_accepted(name, value):
    SPECS[name].check(value)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rate", -0.001, "rate is -0.001; expected 0 to 60"),
        ("rate", 60.001, "rate is 60.001; expected 0 to 60"),
        ("rate", math.nan, "rate is nan; expected 0 to 60"),
        ("rate", math.inf, "rate is inf; expected 0 to 60"),
        ("rate", -math.inf, "rate is -inf; expected 0 to 60"),
        ("count", 0, "count is 0; expected 1 to 10000"),
        ("count", 10_001, "count is 10001; expected 1 to 10000"),
        ("mode", "theora", "mode is 'theora'; expected one of raw, compressed"),
        ("mode", "", "mode is ''; expected one of raw, compressed"),
    ],
)
def test_values_out_of_range_are_refused_with_the_range(name, value, message):
    with pytest.raises(ParameterError) as caught:
        SPECS[name].check(value)
    assert str(caught.value) == message


def test_half_a_range_is_a_slip_of_the_programmer():
    # It would silently check nothing.
    for half in ({"minimum": 0.0}, {"maximum": 1.0}):
        with pytest.raises(ValueError, match="minimum and maximum"):
            parameter(0.5, "half a range", **half)


def test_changes_while_running():
    current = Example()
    check_change(SPECS, {"rate": 10.0, "cameras": ("rear",)}, current, configured=True, node_name="detector")
    check_change(SPECS, {"count": 5, "mode": "compressed"}, current, configured=False, node_name="detector")
    # Setting what is set already is no change.
    check_change(SPECS, {"count": 3, "mode": "raw"}, current, configured=True, node_name="detector")


def test_a_fixed_parameter_is_refused_with_the_way_out():
    with pytest.raises(ParameterError) as caught:
        check_change(SPECS, {"count": 4}, Example(), configured=True, node_name="detector")
    message = str(caught.value)
    assert message.startswith("count is fixed while the node is configured")
    for step in ("ros2 lifecycle set detector deactivate", "cleanup", "configure", "activate"):
        assert step in message


def test_one_bad_value_refuses_the_request_and_range_comes_before_state():
    with pytest.raises(ParameterError, match="rate is 99"):
        check_change(SPECS, {"cameras": (), "rate": 99.0}, Example(), configured=True, node_name="detector")
    with pytest.raises(ParameterError, match="count is 0; expected"):
        check_change(SPECS, {"count": 0}, Example(), configured=True, node_name="detector")


def test_the_change_is_against_the_current_value_not_the_default():
    current = replace(Example(), count=9)
    check_change(SPECS, {"count": 9}, current, configured=True, node_name="detector")
    with pytest.raises(ParameterError, match="count is fixed"):
        check_change(SPECS, {"count": 3}, current, configured=True, node_name="detector")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("rate", "10", 10.0),
        ("rate", "1e1", 10.0),
        ("count", "10", 10),
        ("mode", "raw", "raw"),
        ("label", "", ""),
        ("autostart", "true", True),
        ("autostart", "False", False),
        ("autostart", "0", False),
        ("cameras", "[front, rear]", ["front", "rear"]),
        ("cameras", "front,rear", ["front", "rear"]),
        ("cameras", "['front', \"rear\"]", ["front", "rear"]),
        ("cameras", "front", ["front"]),
        ("cameras", "[]", []),
        ("cameras", "", []),
    ],
)
def test_values_are_read_from_a_command_line(name, text, value):
    read = from_text(SPECS[name], text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "type_name"),
    [
        ("rate", "fast", "double"),
        ("count", "3.5", "integer"),
        ("count", "", "integer"),
        ("autostart", "yes", "boolean"),
    ],
)
def test_text_of_another_type_is_refused(name, text, type_name):
    with pytest.raises(ParameterError, match=f"{name} is '{text}'; expected a value of type {type_name}"):
        from_text(SPECS[name], text)


def test_table():
    assert markdown_table(Example).splitlines() == [
        "| Parameter | Type | Default | Accepted | Changes while running | Meaning |",
        "|---|---|---|---|---|---|",
        "| `rate` | double | `5.0` | 0 to 60 | yes | frames per second |",
        "| `count` | integer | `3` | 1 to 10000 | when unconfigured | how many |",
        '| `mode` | string | `"raw"` | one of raw, compressed | when unconfigured | how |',
        '| `label` | string | `""` | any | when unconfigured | any text |',
        '| `cameras` | string array | `["front"]` | any | yes | names |',
        "| `autostart` | boolean | `true` | any | read only | at once |",
    ]


@pytest.mark.parametrize("parameters", [CameraDetectorParameters, ImageSourceParameters])
def test_the_nodes_defaults_pass_their_own_checks(parameters):
    specs = specs_of(parameters)
    assert specs
    for spec in specs.values():
        spec.check(getattr(parameters(), spec.name))
        assert spec.description
        assert "|" not in spec.description, "it would break the table"
    table = markdown_table(parameters)
    assert len(table.splitlines()) == len(specs) + 2
    assert all(line.count("|") == 7 for line in table.splitlines())
