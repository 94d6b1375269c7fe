"""Options of the backends that call a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from robot_ai.backends.errors import BackendOptionError
from robot_ai.backends.kserve import KServeBackend, KServeOptions
from robot_ai.backends.serving.options import meanings, parse_endpoint, read_options
from robot_ai.backends.tf_serving import TFServingBackend, TFServingOptions

PORTS = {"grpc": 8500, "rest": 8501}


@pytest.mark.parametrize(
    ("url", "protocol", "tls", "expected"),
    [
        ("robot", "auto", False, "grpc://robot:8500"),
        ("robot", "rest", False, "http://robot:8501"),
        ("robot:9", "auto", True, "grpcs://robot:9"),
        ("[::1]:9", "auto", False, "grpc://[::1]:9"),
        ("grpcs://robot", "grpc", False, "grpcs://robot:443"),
        ("http://robot", "auto", False, "http://robot:8501"),
        ("https://models.example.org/team/", "rest", False, "https://models.example.org:443/team"),
    ],
)
def test_addresses(url: str, protocol: str, tls: bool, expected: str) -> None:
    assert str(parse_endpoint(url, protocol, tls, PORTS)) == expected


@pytest.mark.parametrize(
    "url",
    ["", ":8500", "ftp://robot", "robot:port", "robot:99999", "a b", "grpc://robot/path", "http://u:p@robot",
     "http://robot?x=1", "://robot"],
)  # fmt: skip
def test_no_addresses(url: str) -> None:
    with pytest.raises(BackendOptionError, match=r"option 'url' is .*expected host, host:port"):
        parse_endpoint(url, "auto", False, PORTS)


def test_a_scheme_and_a_protocol_that_differ_are_refused() -> None:
    with pytest.raises(BackendOptionError, match=r"whose scheme means rest, and option 'protocol' is grpc"):
        parse_endpoint("http://robot", "grpc", False, PORTS)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("timeout", 0, "a number from 0.001 to 3600"),
        ("timeout", float("nan"), "a number from"),
        ("timeout", True, "a number from"),
        ("retries", 1.5, "a whole number from 0 to 10"),
        ("url", "", "a text"),
        ("tls", "yes", "true or false"),
        ("tls", 1, "true or false"),
        ("protocol", "http", "auto or grpc or rest"),
        ("ca_file", "/nowhere.pem", "a file that is there"),
        ("headers", ["x"], "a mapping"),
        ("headers", {"a b": "c"}, "names of letters"),
        ("headers", {"a": "b\nc"}, "names of letters"),
        ("version", None, "a text"),
    ],
)
def test_a_value_that_does_not_fit_is_shown(option: str, value: Any, expected: str) -> None:
    with pytest.raises(
        BackendOptionError, match=rf"option '{option}' of backend 'tf_serving' is .*expected {expected}"
    ):
        read_options("tf_serving", TFServingOptions, {option: value})


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    file = tmp_path / "c.pem"
    file.touch()
    with pytest.raises(BackendOptionError, match="expected both, or neither"):
        read_options("kserve", KServeOptions, {"client_certificate": str(file)})


def test_values_are_read() -> None:
    options = read_options(
        "kserve", KServeOptions, {"version": 3, "timeout": 2, "binary": False, "headers": {"X-Key": 1}}
    )
    assert (options.version, options.timeout, options.binary) == ("3", 2.0, False)
    assert options.headers == (("x-key", "1"),)


def test_the_documentation_lists_every_option() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "serving.md").read_text(encoding="utf-8")
    for kind in (TFServingOptions, KServeOptions):
        for name, meaning in meanings(kind).items():
            text, _, default = meaning.rpartition(" (")
            assert f"| `{name}` | `{default[:-1]}` | {text} |" in page, name


def test_every_option_is_known_to_the_backend() -> None:
    assert TFServingBackend.known.keys() - KServeBackend.known.keys() == {"signature"}
    assert KServeBackend.known.keys() - TFServingBackend.known.keys() == {"binary"}
