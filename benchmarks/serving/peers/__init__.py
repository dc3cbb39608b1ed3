"""The servers that ours is measured beside, each with one worker.

Settings that may be faster are in ``VARIANTS``; ``python -m benchmarks.serving --parts variants`` compares them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.serving import bodies
from benchmarks.serving.bodies import Rows
from benchmarks.serving.environments import clean, environment
from benchmarks.serving.load import Request
from benchmarks.serving.servers import Server, started
from tests.support.processes import free_port

PROGRAMS = Path(__file__).parent / "programs"


class Peer(Protocol):
    """A server of someone else's."""

    @property
    def name(self) -> str: ...

    @property
    def environment(self) -> str:
        """The name of its requirements."""

    def command(self, place: Place) -> list[str]: ...

    def request(self, folder: Path, model: str, rows: Rows) -> Request: ...

    def variables(self, place: Place) -> Mapping[str, str]:
        """Of its environment, beside those of ours."""

    @property
    def ready(self) -> str:
        """The path that answers 200 when it is."""


@dataclass(frozen=True)
class Place:
    """Where a peer serves one model from."""

    python: Path
    folder: Path
    model: str
    path: Path
    ports: tuple[int, int, int]


@dataclass(frozen=True)
class MLServer:
    """REST and gRPC; workers: processes beside the one of the connections, 0 for none."""

    name: str = "MLServer"
    environment: str = "mlserver"
    ready: str = "/v2/health/ready"
    workers: int = 0
    batch: int = 0
    batch_seconds: float = 0.0
    metrics: bool = True

    def command(self, place: Place) -> list[str]:
        model = {
            "name": place.model,
            "implementation": "mlserver_runtime.Onnx",
            "parameters": {"uri": str(place.path)},
            "max_batch_size": self.batch,
            "max_batch_time": self.batch_seconds,
        }
        http, grpc, metrics = place.ports
        settings = {
            "debug": False,
            "host": "127.0.0.1",
            "http_port": http,
            "grpc_port": grpc,
            "metrics_port": metrics,
            "metrics_endpoint": "/metrics" if self.metrics else None,
            "parallel_workers": self.workers,
        }
        (place.folder / "model-settings.json").write_text(json.dumps(model))
        (place.folder / "settings.json").write_text(json.dumps(settings))
        return [str(place.python.parent / "mlserver"), "start", str(place.folder)]

    def request(self, folder: Path, model: str, rows: Rows) -> Request:
        return bodies.v2_json(folder, model, rows)

    def variables(self, place: Place) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True)
class Mlflow:
    """``mlflow models serve``: the ONNX flavour behind uvicorn."""

    name: str = "mlflow"
    environment: str = "mlflow"
    ready: str = "/ping"

    def command(self, place: Place) -> list[str]:
        saved = place.folder / "saved"
        save = [str(place.python), str(PROGRAMS / "mlflow_save.py"), str(place.path), str(saved)]
        subprocess.run(save, check=True, env=clean(), cwd=place.folder, stderr=subprocess.DEVNULL)
        where = ["--host", "127.0.0.1", "--port", str(place.ports[0]), "--workers", "1"]
        mlflow = str(place.python.parent / "mlflow")
        return [mlflow, "models", "serve", "-m", str(saved), "--env-manager", "local", *where]

    def request(self, folder: Path, model: str, rows: Rows) -> Request:
        del model
        return bodies.mlflow_json(folder, rows)

    def variables(self, place: Place) -> Mapping[str, str]:
        # It starts uvicorn by name; a line in a log for each request is not what is measured.
        return {"PATH": f"{place.python.parent}:{clean()['PATH']}", "UVICORN_ACCESS_LOG": "false"}


@dataclass(frozen=True)
class LitServe:
    """One process of the connections and one of the model, as it always has."""

    name: str = "LitServe"
    environment: str = "litserve"
    ready: str = "/health"
    batch: int = 1
    batch_seconds: float = 0.0
    fast_queue: bool = False
    """ZeroMQ between them."""

    def command(self, place: Place) -> list[str]:
        program = [str(place.python), str(PROGRAMS / "litserve_server.py")]
        settings = (place.path, place.ports[0], self.batch, self.batch_seconds, self.fast_queue)
        return [*program, *map(str, settings)]

    def request(self, folder: Path, model: str, rows: Rows) -> Request:
        del model
        return bodies.plain_json(folder, rows)

    def variables(self, place: Place) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True)
class KServe:
    """The Python server; ``protocol`` 1 or 2."""

    name: str = "KServe"
    environment: str = "kserve"
    ready: str = "/v2/health/ready"
    protocol: int = 1

    def command(self, place: Place) -> list[str]:
        program = [str(place.python), str(PROGRAMS / "kserve_server.py")]
        return [*program, str(place.path), place.model, str(place.ports[0])]

    def request(self, folder: Path, model: str, rows: Rows) -> Request:
        make = bodies.v1_json if self.protocol == 1 else bodies.v2_json
        return make(folder, model, rows)

    def variables(self, place: Place) -> Mapping[str, str]:
        return {}


PEERS: tuple[Peer, ...] = (MLServer(), Mlflow(), LitServe(), KServe())

VARIANTS: tuple[Peer, ...] = (
    MLServer("MLServer"),
    MLServer("MLServer, a worker", workers=1),
    MLServer("MLServer, batches of 16 within 1 ms", batch=16, batch_seconds=0.001),
    MLServer("MLServer, a worker, batches of 16 within 1 ms", workers=1, batch=16, batch_seconds=0.001),
    MLServer("MLServer, no metrics", metrics=False),
    Mlflow(),
    LitServe("LitServe"),
    LitServe("LitServe, ZeroMQ", fast_queue=True),
    LitServe("LitServe, batches of 16 at once", batch=16),
    LitServe("LitServe, batches of 16 within 1 ms", batch=16, batch_seconds=0.001),
    KServe("KServe, v1"),
    KServe("KServe, v2", protocol=2),
)


@contextmanager
def serve(peer: Peer, model: str, path: Path, folder: Path) -> Iterator[Server]:
    """``peer`` with the model in the file ``path``; ``folder`` is its own."""
    folder.mkdir(parents=True)
    python = environment(peer.environment)
    place = Place(python, folder, model, path, (free_port(), free_port(), free_port()))
    command = peer.command(place)
    env = {"PYTHONPATH": str(PROGRAMS), **peer.variables(place)}
    ready = f"http://127.0.0.1:{place.ports[0]}{peer.ready}"
    with started(peer.name, command, ready, folder / "log", env, place.ports[:2]) as server:
        yield server
