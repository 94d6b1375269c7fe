"""The two model servers, each in a process, and the tiny model behind both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from model_servers import ModelServer, Served, start_kserve, start_tf_serving, write_saved_models, write_served_card

from robot_ai.backends.protocol import Backend

KINDS = {"tf_serving": ("grpc", "rest"), "kserve": ("grpc", "http")}


@pytest.fixture(scope="session")
def server_card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a golden sample and an artifact for each server and for the local reference."""
    return write_served_card(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("tensorflow", exc_type=ImportError)
    base = tmp_path_factory.mktemp("saved_models")
    write_saved_models(base)
    return base


@pytest.fixture(scope="session")
def tf_serving(tmp_path_factory: pytest.TempPathFactory, saved_models: Path) -> Iterator[ModelServer]:
    server = start_tf_serving(tmp_path_factory.mktemp("tf_serving"), saved_models)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def kserve(tmp_path_factory: pytest.TempPathFactory, server_card: Path) -> Iterator[ModelServer]:
    server = start_kserve(tmp_path_factory.mktemp("kserve"), server_card)
    yield server
    server.kill()


@pytest.fixture
def serve(server_card: Path) -> Iterator[Callable[[str, str, ModelServer], Served]]:
    opened: list[Backend] = []
    servers: set[ModelServer] = set()

    def make(name: str, protocol: str, server: ModelServer) -> Served:
        servers.add(server)
        return Served(name, protocol, server, server_card, opened)

    yield make
    for backend in opened:
        backend.close()
    for server in servers:
        server.control.set()


@pytest.fixture(params=[f"{name}-{protocol}" for name, protocols in KINDS.items() for protocol in protocols])
def served(request: pytest.FixtureRequest, serve: Callable[[str, str, ModelServer], Served]) -> Served:
    """Each backend over each protocol."""
    name, protocol = request.param.split("-")
    return serve(name, protocol, request.getfixturevalue(name))
