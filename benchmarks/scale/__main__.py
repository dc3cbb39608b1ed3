"""``python -m benchmarks.scale``: what one small operator carries, measured beside what Kubernetes itself needs."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.scale import services, standing
from benchmarks.scale.audit import AuditLog, total
from benchmarks.scale.client import Client, connect
from benchmarks.scale.operators import Operator, operator
from benchmarks.scale.plane import Plane, child, plane
from benchmarks.scale.report import Grown, Report
from benchmarks.scale.trainings import Course, bare_jobs, runs, trainings
from e2e.progress import say
from tests.support.mlflow_server import mlflow_server
from tests.support.processes import free_port, serving

OUT = Path("out/bench")
ROUNDS = 5
SHORT = 1000
"""Of more trainings than that one round is long enough to tell."""
LOOKS = 5
"""At all deployments and policies; what counts is the median."""


@dataclass(frozen=True)
class Sizes:
    """``rates``: trainings beside as many bare Jobs. ``grown``: totals of trainings, the last of which is at rest."""

    rates: tuple[int, ...] = (500, 5000)
    grown: tuple[int, ...] = (1000, 3000, 10_000)
    live: int = 5000
    services: tuple[int, ...] = (250, 500, 1000)
    rest_seconds: float = 60.0


QUICK = Sizes(rates=(100,), grown=(100, 200, 400), live=200, services=(25, 50, 100), rest_seconds=20.0)


@dataclass(frozen=True)
class Bench:
    """One control plane, its user, and its audit log."""

    plane: Plane
    client: Client
    audit: AuditLog
    report: Report

    @contextmanager
    def with_standins(self) -> Iterator[tuple[Operator, str]]:
        """An operator whose registry and metric store answer at once; the URL of the registry."""
        with (
            self._standin("registry") as mlflow,
            self._standin("metricstore") as prometheus,
            operator(self.plane, free_port(), mlflow, prometheus) as running,
        ):
            yield running, mlflow

    @contextmanager
    def with_mlflow(self) -> Iterator[Operator]:
        """An operator with a real MLflow server, and what plays the pods that log to it."""
        folder = self.plane.folder / "mlflow"
        folder.mkdir(exist_ok=True)
        pods = [sys.executable, "-m", "benchmarks.scale.pods", "--kubeconfig", str(self.plane.kubeconfig)]
        log = self.plane.folder / "pods.log"
        with (
            mlflow_server(folder) as url,
            child([*pods, "--mlflow", str(folder)], log),
            operator(self.plane, free_port(), url) as running,
        ):
            _until_ready(log)
            yield running

    @contextmanager
    def _standin(self, name: str) -> Iterator[str]:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", f"benchmarks.scale.{name}", "--port", str(port)]
        with serving(command, f"{url}/health", self.plane.folder / f"{name}.log"):
            yield url


@asynccontextmanager
async def bench(folder: Path, report: Report) -> AsyncIterator[Bench]:
    """A fresh control plane, so that nothing measured before weighs on what comes next."""
    folder.mkdir(parents=True)  # noqa: ASYNC240 (nothing else goes on)
    with plane(folder) as made:
        async with connect(made.kubeconfig) as client:
            yield Bench(made, client, AuditLog(made.cluster.audit_log), report)


Fresh = Callable[[str], AbstractAsyncContextManager[Bench]]


async def rates(fresh: Fresh, count: int, report: Report) -> None:
    """N bare Jobs and N trainings with the stand-in, each round on a control plane of its own; then N with MLflow.

    What counts is the median of the rounds: one round of 500 differs from the next by a fifth.
    """
    say(f"{count} bare Jobs, as many trainings, with a registry that answers at once and with MLflow")
    floors, quicks, calls = [], [], []
    for number in range(ROUNDS if count <= SHORT else 1):
        async with fresh(f"{count}-{number}") as here:
            floors.append(await bare_jobs(here.client, here.audit, count, "bare"))
            with here.with_standins() as (running, mlflow):
                quicks.append(await trainings(here.client, here.audit, running, count, "quick"))
                calls.append(sum(_calls(mlflow).values()) / count)
        _tell(floors[-1], "bare Jobs")
        _tell(quicks[-1], "trainings, stand-in")
    async with fresh(f"{count}-mlflow") as here:
        with here.with_mlflow() as running:
            real = await trainings(here.client, here.audit, running, count, "real", "logged")
    _tell(real, "trainings, MLflow")
    turns = list(zip(quicks, floors, strict=True))
    figures = report.figures
    figures |= {
        f"rate_share_{count}": median(quick.rate / floor.rate for quick, floor in turns),
        f"rate_share_{count}_mlflow": real.rate / median(floor.rate for floor in floors),
    }
    if "cpu_500" not in figures:  # the first size is the one that these are stated for
        figures |= {
            "latency_p50": median(quick.latency(0.5) / floor.latency(0.5) for quick, floor in turns),
            "latency_p99": median(quick.latency(0.99) / floor.latency(0.99) for quick, floor in turns),
            "api_writes": median(_but_events(quick) / count for quick in quicks),
            "mlflow_calls": median(calls),
            "cpu_500": median(quick.cpu * 500 / count for quick in quicks),
            "memory_500": quicks[0].memory,
        }
    report.seen[f"{count} trainings"] = {
        "bare Jobs": [_seen(course) for course in floors],
        "stand-in": [_seen(course) for course in quicks],
        "MLflow": _seen(real),
    }


def _tell(course: Course, name: str) -> None:
    writes = _but_events(course) / course.count
    say(f"  {name}: {course.rate:.1f} a second, {writes:.1f} writes, CPU {course.cpu:.1f} s")


async def growth(here: Bench, sizes: Sizes) -> None:
    """More and more trainings that stay when they are done; then the operator rests, and looks at all of them again."""
    figures, there, cpu = here.report.figures, 0, 0.0
    with here.with_standins() as (running, _):
        for count in sizes.grown:
            say(f"{count} trainings that stay")
            course = await trainings(here.client, here.audit, running, count - there, f"to-{count}")
            there, cpu = count, cpu + course.cpu
            seconds = course.seconds + sum(one.seconds for one in here.report.trainings[-1:])
            here.report.trainings.append(Grown(count, seconds, cpu, running.memory))
        await standing.settled(running)
        figures["memory_10000"] = running.memory
        say(f"at rest for {sizes.rest_seconds:.0f} s")
        figures["writes_at_rest"] = await standing.at_rest(running, here.audit, sizes.rest_seconds)
        looked = await standing.resync(running, {"ModelTraining": there})
        figures["reconciles"] = looked.rate
        here.report.seen["a look at all that is finished"] = vars(looked)


async def restart(here: Bench, sizes: Sizes) -> None:
    """Trainings whose pods run for ever, under an operator that is stopped and started."""
    say(f"{sizes.live} trainings whose pods run, and a restart")
    with here.with_standins() as (running, _):
        await trainings(here.client, here.audit, running, sizes.live, "live", "hold", runs)
        await standing.settled(running)
    began = time.monotonic()
    with here.with_standins() as (running, _):
        here.report.figures["restart_5000"] = await standing.until_all_seen(running, sizes.live) - began


async def served(here: Bench, sizes: Sizes) -> None:
    """More and more deployments and policies, and a look at all of them at each size."""
    there, points = 0, here.report.services
    with here.with_standins() as (running, mlflow):
        for count in sizes.services:
            say(f"{count} deployments and {count} policies")
            await services.register(mlflow, range(there, count))
            await services.deploy(here.client, range(there, count))
            await standing.settled(running)
            there = count
            looks = []
            for _ in range(LOOKS):
                looks.append(await standing.resync(running, {"ModelDeployment": count, "RetrainPolicy": count}))
                await standing.settled(running)
            seconds, cpu = median(one.seconds for one in looks), median(one.cpu for one in looks)
            points.append(Grown(count, seconds, cpu, running.memory))
            worst = {kind: max(one.p99[kind] for one in looks) * 1000 for kind in looks[0].p99}
            here.report.figures |= {
                "deployments_p99": worst["ModelDeployment"],
                "policies_p99": worst["RetrainPolicy"],
            }
        rest = await standing.at_rest(running, here.audit, sizes.rest_seconds)
        here.report.seen[f"writes at rest with {there} deployments and policies"] = rest
    first, last = points[0], points[-1]
    here.report.figures["services_growth"] = (last.cpu / first.cpu) / (last.count / first.count)


def _calls(mlflow: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{mlflow}/calls", timeout=30) as answer:  # noqa: S310 our own address
        return dict(json.loads(answer.read()))


def _but_events(course: Course) -> int:
    """Writes, those events left out that Kubernetes tells of Jobs and pods."""
    return total(course.written) - sum(
        count
        for (who, _, resource), count in course.written.items()
        if resource == "events" and who != standing.USER_AGENT
    )


def _seen(course: Course) -> dict[str, object]:
    written = {" ".join(key): round(count / course.count, 2) for key, count in sorted(course.written.items())}
    return {
        "a second": course.rate,
        "p50": course.latency(0.5),
        "p99": course.latency(0.99),
        "cpu": course.cpu,
        "memory": course.memory,
        "written for each": written,
    }


def _until_ready(log: Path) -> None:
    deadline = time.monotonic() + 60
    while not (log.exists() and "ready" in log.read_text()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"what plays the pods did not get ready: see {log}")
        time.sleep(0.1)


async def measured(sizes: Sizes, parts: frozenset[str], folder: Path) -> Report:
    report = Report()
    if "rates" in parts:
        for count in sizes.rates:
            await rates(lambda name: bench(folder / f"rates-{name}", report), count, report)
            report.write(OUT)
    for name, part in (("growth", growth), ("restart", restart), ("services", served)):
        if name in parts:
            async with bench(folder / name, report) as here:
                await part(here, sizes)
            report.write(OUT)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small numbers, to see that it works")
    parts = ("rates", "growth", "restart", "services")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="measure only these")
    parser.add_argument("--logs", type=Path, help="keep the logs of all processes in this new folder")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = parsed.logs or Path(temporary) / "logs"
        report = asyncio.Runner(loop_factory=uvloop.new_event_loop).run(
            measured(QUICK if parsed.quick else Sizes(), frozenset(parsed.parts), folder)
        )
    print("\n".join(report.write(OUT)))
    say(f"written: {OUT}/scale.json, scale.md, scale.png")


if __name__ == "__main__":
    main()
