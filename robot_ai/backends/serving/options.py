"""The options of the backends that call a server: read from the card and from the user, checked once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from robot_ai.backends.errors import BackendOptionError

Read = Callable[[Any], Any]
LATEST = "latest"
TLS_PORT = 443
_SCHEMES = {"grpc": False, "grpcs": True, "http": False, "https": True}  # whether it is TLS


def option(default: Any, meaning: str, read: Read) -> Any:
    """A dataclass field that is an option; `read` turns the given value into the field's or raises ValueError."""
    return field(default=default, metadata={"meaning": meaning, "read": read})


def text(value: Any) -> str:
    """Any text that is not blank; a number is taken as it is written."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError("expected a text")
    return str(value).strip()


def number(low: float, high: float) -> Read:
    """A finite number from low to high, both included."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"expected a number from {low:g} to {high:g}")
        return float(value)

    return read


def integer(low: int, high: int) -> Read:
    """A whole number from low to high, both included."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return value

    return read


def choice(*choices: Any) -> Read:
    """One of a few values."""

    def read(value: Any) -> Any:
        if not any(type(value) is type(known) and value == known for known in choices):
            shown = [str(known).lower() if isinstance(known, bool) else known for known in choices]
            raise ValueError(f"expected {' or '.join(shown)}")
        return value

    return read


def file(value: Any) -> Path:
    """A file that can be read; `~` is the user's home."""
    path = Path(text(value)).expanduser()
    if not path.is_file():
        raise ValueError("expected a file that is there")
    return path


def headers(value: Any) -> tuple[tuple[str, str], ...]:
    """Names and values, each as a request carries it."""
    if not isinstance(value, Mapping):
        raise ValueError("expected a mapping of names to values")
    pairs = []
    for name, content in value.items():
        if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_.-]+", name) and str(content).isprintable()):
            raise ValueError("expected names of letters, digits and _ . - with values of one line")
        pairs.append((name.lower(), str(content)))
    return tuple(pairs)


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """What both backends understand. Times are in seconds."""

    url: str = option("localhost", "the server: `host`, `host:port`, or with a scheme (below)", text)
    model_name: str = option("", "the model's name on the server; without it the card's", text)
    version: str = option(LATEST, "the model's version on the server; `latest` leaves the choice to the server", text)
    timeout: float = option(1.0, "a request that takes longer is given up, in seconds", number(0.001, 3600))
    load_timeout: float = option(
        5.0, "how long loading waits for the server to start and to answer, in seconds", number(0.001, 3600)
    )
    retries: int = option(1, "how often a request that lost its connection is sent again", integer(0, 10))
    max_backoff: float = option(2.0, "the longest pause between two tries to reconnect, in seconds", number(0.1, 60))
    max_batch: int = option(0, "the most images in one request; 0 is no limit but the model's own", integer(0, 65536))
    tls: bool = option(False, "encrypt; also chosen by a scheme that ends in s", choice(True, False))
    ca_file: Path | None = option(None, "PEM file with the authority to trust; none is the system's", file)
    client_certificate: Path | None = option(None, "PEM file that shows who this client is; with `client_key`", file)
    client_key: Path | None = option(None, "PEM file with the certificate's private key", file)
    headers: tuple[tuple[str, str], ...] = option(
        (), "a mapping sent with each request, such as authorization", headers
    )


Options = TypeVar("Options", bound=ServerOptions)


def meanings(kind: type[ServerOptions]) -> dict[str, str]:
    """Each option's meaning, which ends with its default."""
    return {spec.name: f"{spec.metadata['meaning']} ({_shown(spec.default)})" for spec in fields(kind)}


def _shown(default: Any) -> str:
    if default in (None, "", ()):
        return "none"
    return str(default).lower() if isinstance(default, bool) else f"{default}"


def read_options(backend: str, kind: type[Options], given: Mapping[str, Any]) -> Options:
    """Reads the values of an artifact's options, all of which must be known.

    Raises BackendOptionError, which names the option and what it expects.
    """
    known = {spec.name: spec.metadata for spec in fields(kind)}
    values = {}
    for name, value in given.items():
        try:
            values[name] = known[name]["read"](value)
        except ValueError as error:
            raise BackendOptionError(
                f"option '{name}' of backend '{backend}' is {value!r}; {error}. {_HELP}"
            ) from error
    options = kind(**values)
    if (options.client_certificate is None) != (options.client_key is None):
        raise BackendOptionError(
            f"backend '{backend}' is given one of client_certificate and client_key; expected both, or neither. {_HELP}"
        )
    return options


_HELP = "Correct it in the card or in backend_options; docs/serving.md lists the options"


@dataclass(frozen=True)
class Endpoint:
    """Where a server listens. `prefix` is the path before the protocol's own, without a slash at its end."""

    protocol: str
    host: str
    port: int
    tls: bool
    prefix: str = ""

    @property
    def address(self) -> str:
        """`host:port`, with the brackets of an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        scheme = "grpc" if self.protocol == "grpc" else "http"
        return f"{scheme}{'s' if self.tls else ''}://{self.address}{self.prefix}"


def parse_endpoint(url: str, protocol: str, tls: bool, ports: Mapping[str, int]) -> Endpoint:
    """Reads a server's address.

    url: `host`, `host:port`, or with one of the schemes grpc, grpcs, http, https, of which http may be followed by a
    path. protocol: one of the keys of `ports`, the server's usual ports, or `auto` for the scheme's, else `grpc`.
    Raises BackendOptionError.
    """
    scheme, _, rest = url.rpartition("://")
    own = next(name for name in ports if name != "grpc")
    meant = {"": "grpc" if protocol == "auto" else protocol}.get(scheme, "grpc" if scheme.startswith("grpc") else own)
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _no_address(url, str(error)) from error
    if scheme and scheme not in _SCHEMES:
        raise _no_address(url, f"'{scheme}' is no scheme of a model server")
    if not host or parts.username is not None or parts.query or parts.fragment or re.search(r"\s", rest):
        raise _no_address(url, "it holds no host, or more than an address")
    if protocol not in ("auto", meant):
        raise BackendOptionError(
            f"option 'url' is '{url}', whose scheme means {meant}, and option 'protocol' is {protocol}. "
            "Give one of them"
        )
    prefix = parts.path.rstrip("/")
    if prefix and meant == "grpc":
        raise _no_address(url, "gRPC knows no path")
    secure = tls or _SCHEMES.get(scheme, False)
    usual = TLS_PORT if scheme.endswith("s") else ports[meant]
    return Endpoint(meant, host, usual if port is None else port, secure, prefix)


def _no_address(url: str, problem: str) -> BackendOptionError:
    return BackendOptionError(
        f"option 'url' is '{url}': {problem}; expected host, host:port, or one of these after grpc://, grpcs://, "
        "http:// or https://"
    )
