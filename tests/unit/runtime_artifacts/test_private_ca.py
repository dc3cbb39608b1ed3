"""An MLflow behind a certificate of a private CA: docs/operations.md says how pods come to trust it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelcycle_runtime.artifacts import ArtifactStore
from modelcycle_runtime.errors import ArtifactsUnavailable
from tests.support.certificates import self_signed, server_context

ROOT_OF_RUN = "mlflow-artifacts:/1/run/artifacts"


class Run(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"run": {"info": {"artifact_uri": ROOT_OF_RUN}}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Nobody reads it."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def mlflow(certificate: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("localhost", 0), Run) as server:
        server.socket = server_context(certificate).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_private_ca_is_trusted_by_mlflows_own_variable(
    mlflow: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    assert ArtifactStore(mlflow).run_root("run") == ROOT_OF_RUN


def test_without_it_nothing_is_read_and_no_artifact_is_blamed(mlflow: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH", raising=False)
    with pytest.raises(ArtifactsUnavailable, match="certificate not trusted"):
        ArtifactStore(mlflow).run_root("run")
