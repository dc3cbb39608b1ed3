"""The load: one process on a CPU of its own, which tells what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLOSED_CONNECTIONS = 16
OPEN_CONNECTIONS = 64
"""So that a late answer holds up no planned request."""
WARM_UP = 0.2
"""Of the time, beforehand and not counted."""


@dataclass(frozen=True)
class Request:
    """One kind of request; ``body`` is a file, ``rows`` what it holds of the model's rows."""

    path: str
    body: Path
    headers: tuple[str, ...] = ("Content-Type: application/json",)
    rows: int = 1
    scheme: str = "http"


@dataclass(frozen=True)
class Load:
    """What came of it.

    ``latency``: microseconds, of an open loop from the planned send; none where the generator did not keep up, since it
    would be the generator's. ``at_most``: then too, with what the generator added. ``cpu``: the share of its own CPU
    that the generator used.
    """

    rate: float
    latency: Mapping[str, float]
    at_most: Mapping[str, float]
    failed: int
    cpu: float

    @property
    def kept_up(self) -> bool:
        return bool(self.latency)

    @property
    def tail(self) -> float:
        """p99.9 over p50."""
        return self.latency["p99.9"] / self.latency["p50"]


def closed(address: str, request: Request, seconds: float, connections: int = CLOSED_CONNECTIONS) -> Load:
    """As fast as the server answers: each connection sends its next request at the answer to its last."""
    return _bench(address, request, seconds, ["--closed", "--connections", str(connections)])


def planned(address: str, request: Request, seconds: float, rate: float) -> Load:
    """``rate`` requests a second, at times by chance (Poisson)."""
    return _bench(address, request, seconds, ["--rate", f"{rate:.3f}", "--connections", str(OPEN_CONNECTIONS)])


def _bench(address: str, request: Request, seconds: float, words: list[str]) -> Load:
    url = f"{request.scheme}://{address}{request.path}"
    command = [*pinned(1), sys.executable, "-m", "modelcycle_client", "bench", url, "--body", str(request.body)]
    for header in request.headers:
        command += ["--header", header]
    command += ["--seconds", str(seconds), "--warm-up", str(seconds * WARM_UP), "--json", "--quiet", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    (run,) = json.loads(done.stdout)["runs"]
    return read(run)


def read(run: Mapping[str, Any]) -> Load:
    """What the generator tells of one run."""
    return Load(run["rate"], run["latency_us"] or {}, run["at_most_us"] or {}, run["failed"], run["cpu"])


def pinned(place: int) -> list[str]:
    """The start of a command that keeps to one CPU, where there are two: 0 for servers, 1 for the load."""
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cpus[place])] if len(cpus) > 1 else []
