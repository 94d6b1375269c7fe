"""What is KServe v2's own: binary tensors and their fallback, a fixed batch, TLS."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from model_servers import ModelServer, Served, start_kserve
from tiny_model import expected, images

from robot_ai.backends.errors import ArtifactLoadError, BackendOptionError
from robot_ai.backends.protocol import Backend


@pytest.fixture(params=["grpc", "http"])
def served(request: pytest.FixtureRequest, serve: Callable[..., Served], kserve: ModelServer) -> Served:
    return serve("kserve", request.param, kserve)


def check(backend: Backend, count: int = 2) -> None:
    outputs = backend.infer({"image": images(count)})
    np.testing.assert_allclose(outputs["boxes"], expected(images(count))["boxes"], atol=1e-5)


def test_a_server_that_takes_no_bytes_gets_numbers(served: Served) -> None:
    served.server.control.set(refuse_bytes=True)
    check(served.load())
    with pytest.raises(ArtifactLoadError, match="raw contents are not supported"):
        served.load("binary=true")


def test_numbers_can_be_asked_for(served: Served) -> None:
    check(served.load("binary=false"))


def test_a_fixed_batch_takes_any(tmp_path: Path, server_card: Path, serve: Callable[..., Served]) -> None:
    server = start_kserve(tmp_path, server_card, "--batch", "4")
    try:
        for protocol in server.urls:
            served = serve("kserve", protocol, server)
            backend = served.load()
            for count in (1, 3):
                check(backend, count)
            with pytest.raises(BackendOptionError, match="takes batches of 4 only"):
                served.load("max_batch=2")
    finally:
        server.kill()


def test_tls(tmp_path: Path, server_card: Path, serve: Callable[..., Served]) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "c.pem", tmp_path / "k.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
        check=True,
        capture_output=True,
    )  # fmt: skip
    server = start_kserve(tmp_path, server_card, "--tls", str(certificate), str(key), secure=True)
    try:
        for protocol, url in server.urls.items():
            served = serve("kserve", protocol, server)
            check(served.load(f"ca_file={certificate}"))
            with pytest.raises(ArtifactLoadError, match="cannot be reached"):  # an authority that nobody trusts
                served.load("load_timeout=0.5")
            with pytest.raises(ArtifactLoadError, match=r"cannot be reached|is no HTTP"):  # TLS spoken to in the clear
                served.load(f"url={url.replace('s://', '://')}", "load_timeout=0.5")
    finally:
        server.kill()
