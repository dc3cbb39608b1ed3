"""What resources cost that stand there: at rest, when all of them are looked at again, and after a restart."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.scale.audit import AuditLog, total
from benchmarks.scale.operators import Operator

USER_AGENT = "modelcycle"
PATIENCE = 300.0
QUIET_SECONDS = 3.0


@dataclass(frozen=True)
class Resync:
    """A look at every key. ``p99``: of a pass, by kind, in seconds: an upper bound by the histogram's buckets."""

    passes: int
    seconds: float
    cpu: float
    p99: Mapping[str, float]

    @property
    def rate(self) -> float:
        return self.passes / self.seconds


async def resync(running: Operator, keys: Mapping[str, int]) -> Resync:
    """SIGHUP, until each of so many keys of each kind was looked at."""
    before = {kind: passes(running, controller=kind) for kind in keys}
    buckets = {kind: running.buckets(controller=kind) for kind in keys}
    cpu, began = running.cpu, time.monotonic()
    os.kill(running.pid, signal.SIGHUP)
    for kind, count in keys.items():
        await _until_passed(running, before[kind] + count, {"controller": kind})
    seconds, cpu = time.monotonic() - began, running.cpu - cpu
    return Resync(sum(keys.values()), seconds, cpu, {kind: _p99(running, kind, buckets[kind]) for kind in keys})


def _p99(running: Operator, kind: str, before: Mapping[float, float]) -> float:
    after = running.buckets(controller=kind)
    return quantile(0.99, {edge: count - before.get(edge, 0) for edge, count in after.items()})


async def at_rest(running: Operator, audit: AuditLog, seconds: float) -> int:
    """The operator's writes in so many seconds, its Lease apart."""
    audit.new()
    await asyncio.sleep(seconds)
    return total(audit.new(), who=USER_AGENT)


async def settled(running: Operator) -> None:
    """Until nothing was done for a while."""
    deadline, before = time.monotonic() + PATIENCE, -1.0
    while (now := passes(running)) != before:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the operator is still busy after {PATIENCE:.0f} s")
        before = now
        await asyncio.sleep(QUIET_SECONDS)


async def until_all_seen(running: Operator, keys: int) -> float:
    """When a fresh operator had looked at so many keys, on the clock of ``time.monotonic``."""
    await _until_passed(running, keys, {})
    return time.monotonic()


def passes(running: Operator, **labels: str) -> float:
    return running.counted("controller_runtime_reconcile_total", **labels)


async def _until_passed(running: Operator, count: float, labels: dict[str, str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while passes(running, **labels) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all of {count:.0f} passes within {PATIENCE:.0f} s")
        await asyncio.sleep(0.05)


def quantile(share: float, cumulative: dict[float, float]) -> float:
    """The upper edge of the bucket in which the quantile lies, from counts of observations up to each edge."""
    edges = sorted(cumulative)
    wanted = share * cumulative[edges[-1]]
    return next(edge for edge in edges if cumulative[edge] >= wanted)
