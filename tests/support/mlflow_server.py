"""A real MLflow server: SQLite and artifacts below a folder, proxied artifacts, one worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import free_port, serving


@contextmanager
def mlflow_server(folder: Path, *, allowed_hosts: str | None = None, port: int | None = None) -> Iterator[str]:
    """Serve what is in ``folder`` until the block ends, and give the base URL. Ready in about 8 s, 500 MiB.

    The same folder and port again continue where an earlier server stopped.
    """
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--serve-artifacts", "--artifacts-destination", f"{folder}/artifacts"),
        *(("--allowed-hosts", allowed_hosts) if allowed_hosts else ()),
    ]
    # Without this it starts seven job consumers of 220 MiB each.
    env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    # Not the API, which refuses us where allowed_hosts is what the test is about.
    with serving(command, f"{url}/health", folder / "mlflow.log", env):
        yield url
