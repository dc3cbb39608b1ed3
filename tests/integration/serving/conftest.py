"""Real server processes on real sockets."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.mlflow_server import mlflow_server
from tests.support.processes import free_port, serving
from tests.support.versions import linear_baseline, linear_smoke, write_version

SOURCE_ROOT = Path(__file__).parents[3] / "training_images"


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is ready."""

    url: str
    metrics_url: str
    pid: int
    log: Path

    async def metrics(self) -> dict[str, float]:
        """Values by series, ``name{label="value",...}``."""
        async with aiohttp.ClientSession() as client, client.get(f"{self.metrics_url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {series: float(value) for series, value in pairs}


Start = Callable[..., AbstractContextManager[Running]]


def runtime_env(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(SOURCE_ROOT), **variables}


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """Start a server of ``folder``; other settings as the contract names them."""

    @contextmanager
    def starting(folder: Path, **settings: Any) -> Iterator[Running]:
        port, metrics_port = settings.pop("port", None) or free_port(), free_port()
        record = {"modelDir": str(folder), "model": "hedge", "version": "7", "drainSeconds": 0.2, **settings}
        env = runtime_env(MODELCYCLE_SERVE=json.dumps({**record, "port": port, "metricsPort": metrics_port}))
        command = [sys.executable, "-m", "modelcycle_runtime.serve"]
        log = tmp_path_factory.mktemp("server") / "log"
        url, metrics_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}"
        with serving(command, f"{metrics_url}/readyz", log, env) as pid:
            yield Running(url, metrics_url, pid, log)

    return starting


@pytest.fixture(scope="session")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key"
    path.write_bytes(b"0123456789abcdef0123456789abcdef")
    return path


@pytest.fixture(scope="session")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Y = a - 2 b + 0.5, with a baseline and recorded rows; b was null at training, a was not."""
    folder = tmp_path_factory.mktemp("version")
    return write_version(folder, baseline=linear_baseline(), smoke=linear_smoke())


@pytest.fixture(scope="session")
def server(start: Start, version: Path, key_file: Path) -> Iterator[Running]:
    with start(version, feedbackKeyFile=str(key_file), maxBodyBytes=100_000) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program of the runtime ended: exit status, and the termination message's JSON."""

    status: int
    message: dict[str, Any]
    log: str


Run = Callable[[str, Mapping[str, str]], Ended]


@pytest.fixture
def run_module(tmp_path: Path) -> Run:
    """Run ``python -m modelcycle_runtime.<name>`` to its end, as a container would."""

    def run(name: str, env: Mapping[str, str]) -> Ended:
        words = tmp_path / "termination-log"
        words.write_text("")
        done = subprocess.run(
            [sys.executable, "-m", f"modelcycle_runtime.{name}"],
            env=runtime_env(MODELCYCLE_TERMINATION_LOG=str(words), **env),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        return Ended(done.returncode, json.loads(words.read_text() or "{}"), done.stderr)

    return run


@dataclass(frozen=True, slots=True)
class Mlflow:
    url: str
    artifacts: Path
    """Where the server keeps what it hands out."""


@pytest.fixture(scope="session")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mlflow]:
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder) as url:
        yield Mlflow(url, folder / "artifacts")
