"""Servers on the first CPU. One that is not measured is stopped: what it does when idle weighs on no other."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.load import pinned
from tests.support.processes import free_port, serving

WITHOUT_END = 1_000_000_000
SETTLE_SECONDS = 0.3
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Server:
    """``group``: its processes. ``grpc``: its other address, where it has one."""

    name: str
    address: str
    group: int
    grpc: str = ""

    @contextmanager
    def awake(self) -> Iterator[None]:
        os.killpg(self.group, signal.SIGCONT)
        time.sleep(SETTLE_SECONDS)
        try:
            yield
        finally:
            os.killpg(self.group, signal.SIGSTOP)

    def cpu(self) -> float:
        """The seconds of CPU that its processes have used."""
        return sum(_ticks(fields) for fields in _processes(self.group)) / _TICKS

    def memory(self) -> float:
        """The resident memory of its processes, MiB."""
        return sum(int(fields[21]) for fields in _processes(self.group)) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _processes(group: int) -> Iterator[list[str]]:
    """Of each process of the group, what follows the name in /proc/PID/stat: state, parent, group, ..."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == group:
            yield fields


def _ticks(fields: list[str]) -> int:
    return int(fields[11]) + int(fields[12])


@contextmanager
def started(
    name: str,
    command: Sequence[str],
    ready: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    ports: tuple[int, int] = (0, 0),
) -> Iterator[Server]:
    """A server that is ready, and stopped until it is needed."""
    with serving([*pinned(0), *command], ready, log, env) as pid:
        grpc = f"127.0.0.1:{ports[1]}" if ports[1] else ""
        server = Server(name, f"127.0.0.1:{ports[0]}", pid, grpc)
        os.killpg(pid, signal.SIGSTOP)
        try:
            yield server
        finally:
            os.killpg(pid, signal.SIGCONT)


@contextmanager
def echo(programs: Path, folder: Path) -> Iterator[Server]:
    """The floor: our HTTP stack, which gives back what it gets."""
    port = free_port()
    command = [str(programs / "echo"), str(port)]
    with started("echo", command, f"http://127.0.0.1:{port}/", folder / "echo.log", None, (port, 0)) as server:
        yield server


@contextmanager
def ours(model: Path, name: str, log: Path, label: str = "modelcycle") -> Iterator[Server]:
    """Modelcycle's server for the fetched version in ``model``."""
    port, metrics_port = free_port(), free_port()
    command, env = ours_command(model, name, port, metrics_port)
    ready = f"http://127.0.0.1:{metrics_port}/readyz"
    with started(label, command, ready, log, env, (port, port)) as server:
        yield server


def ours_command(model: Path, name: str, port: int, metrics_port: int) -> tuple[list[str], dict[str, str]]:
    """How it is started: the command, and variables of its environment."""
    settings = {
        "modelDir": str(model),
        "model": name,
        "port": port,
        "metricsPort": metrics_port,
        "maxRequestsPerConnection": WITHOUT_END,
        "drainSeconds": 0,
    }
    return [sys.executable, "-m", "modelcycle_runtime.serve"], {"MODELCYCLE_SERVE": json.dumps(settings)}


@contextmanager
def process(command: Sequence[str], env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process whose start is watched, killed at the end."""
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **env})
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def is_ready(port: int) -> bool:
    """Whether /readyz is 200. By a bare socket, so that looking costs next to nothing."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)):
            return False
        probe.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return probe.recv(64).split(b" ")[1:2] == [b"200"]
