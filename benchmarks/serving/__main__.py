"""The 32-64-64-1 network on one CPU, the load on another: a table, and ``out/bench/serving.json``.

Everything runs side by side, round after round, so that a noisy machine is noisy for all; what counts are the ratios to
the echo of the same round.

    python -m benchmarks.serving [ROUNDS [SECONDS]]
"""

from __future__ import annotations

import json
import math
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.serving.versions import ROWS, bodies, version
from e2e import core
from e2e.progress import step
from tests.support.processes import free_port, serving

OUTPUT = core.ROOT / "out" / "bench" / "serving.json"
CONNECTIONS = 16
WITHOUT_END = 1_000_000_000
START_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Case:
    """Requests of one kind to one server."""

    name: str
    url_path: str
    body: Path
    headers: tuple[str, ...] = ("Content-Type: application/json",)
    rows: int = 1


@dataclass(slots=True)
class Found:
    """What was measured of a case, round by round."""

    rates: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    bad: int = 0

    def add(self, line: dict[str, Any], echo: float) -> None:
        self.rates.append(line["rate"])
        self.ratios.append(line["rate"] / echo)
        latency = line["latency_us"] or {"p50": math.nan, "p99": math.nan}  # where the load had no CPU left
        self.p50.append(latency["p50"])
        self.p99.append(latency["p99"])
        self.bad += int(line["failed"])


def main(words: list[str]) -> int:
    rounds, seconds = int(words[0]) if words else 3, float(words[1]) if words[1:] else 5.0
    core.build()
    programs = core.examples()
    with tempfile.TemporaryDirectory(prefix="modelcycle-bench-") as folder:
        found = _measure(Path(folder), programs, rounds, seconds)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps({name: vars_of(one) for name, one in found.items()}, indent=1))
    print(_table(found))
    return int(any(one.bad for one in found.values()))


def vars_of(found: Found) -> dict[str, Any]:
    return {"rates": found.rates, "ratios": found.ratios, "p50": found.p50, "p99": found.p99, "bad": found.bad}


def _measure(folder: Path, programs: Path, rounds: int, seconds: float) -> dict[str, Found]:
    found: dict[str, Found] = {}
    plain, watched = version(folder / "plain", baseline=False), version(folder / "watched", baseline=True)
    json_body, binary_one, binary_many = bodies(folder)
    infer = "/v2/models/small/infer"
    cases = [
        (plain, Case("JSON, no baseline", infer, json_body)),
        (watched, Case("JSON", infer, json_body)),
        (watched, Case("binary, 1 row", infer, *binary_one)),
        (watched, Case(f"binary, {ROWS} rows", infer, *binary_many, rows=ROWS)),
    ]
    for i in range(rounds):
        with step(f"round {i + 1} of {rounds}"):
            with _echo(programs) as address:
                line = _load(address, Case("echo", "/", json_body), seconds)
            echo = float(line["rate"])
            found.setdefault("echo", Found()).add(line, echo)
            for model, case in cases:
                with _server(model, folder / "log") as address:
                    found.setdefault(case.name, Found()).add(_load(address, case, seconds), echo)
    return found


@contextmanager
def _echo(programs: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([*_pinned(0), str(programs / "echo"), str(port)])
    try:
        _wait(port)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _wait(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port} after {START_SECONDS:.0f} s")
        time.sleep(0.05)


@contextmanager
def _server(model: Path, log: Path) -> Iterator[str]:
    port, metrics_port = free_port(), free_port()
    settings = {
        "modelDir": str(model),
        "model": "small",
        "port": port,
        "metricsPort": metrics_port,
        "maxRequestsPerConnection": WITHOUT_END,
        "drainSeconds": 0,
    }
    command = [*_pinned(0), sys.executable, "-m", "modelcycle_runtime.serve"]
    with serving(command, f"http://127.0.0.1:{metrics_port}/readyz", log, {"MODELCYCLE_SERVE": json.dumps(settings)}):
        yield f"127.0.0.1:{port}"


def _load(address: str, case: Case, seconds: float) -> dict[str, Any]:
    command = [*_pinned(1), sys.executable, "-m", "modelcycle_client", "bench", f"http://{address}{case.url_path}"]
    how = ["--closed", "--json", "--quiet", "--connections", str(CONNECTIONS), "--warm-up", str(seconds / 5)]
    what = ["--body", str(case.body), *(word for header in case.headers for word in ("--header", header))]
    done = subprocess.run([*command, *how, *what, "--seconds", str(seconds)], stdout=subprocess.PIPE, check=True)
    return dict(json.loads(done.stdout)["runs"][0])


def _pinned(cpu: int) -> list[str]:
    """The start of a command that keeps to one CPU, where there are two."""
    cpus = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cpus[cpu])] if len(cpus) > 1 else []


def _table(found: dict[str, Found]) -> str:
    lines = ["| case | requests/s (median) | share of the echo | p50 us | p99 us |", "|---|---|---|---|---|"]
    for name, one in found.items():
        middle = statistics.median
        lines.append(
            f"| {name} | {middle(one.rates):,.0f} | {middle(one.ratios):.2f} | {middle(one.p50):,.0f} "
            f"| {middle(one.p99):,.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
