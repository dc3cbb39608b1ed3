"""What a load found, and whether it is the server's or the generator's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MOST_CPU = 0.95
"""Of the generator's thread: with more it is the generator that is measured."""
MOST_STARVED = 0.05
"""Of the time: what is answered meanwhile is read late, which shows in no other figure."""
MOST_LAG_SHARE = 0.1
"""Of the latency's p99, for the generator's own lateness."""
LITTLE_LAG_US = 100.0
"""At the p99; so much is never too late, as it takes a machine to wake a program."""
IN_TIME = 0.98
"""Of what was planned has to be answered within the window, or all but one a connection: they are on their way."""

Spread = Mapping[str, float]
"""``mean``, ``p50``, ``p90``, ``p99``, ``p99.9`` and ``max`` in microseconds."""


@dataclass(frozen=True, slots=True)
class Run:
    """One load. All counts are of requests that were planned in the window after the warm-up."""

    mode: str
    """``open`` or ``closed``."""
    planned_rate: float | None
    connections: int
    seconds: float
    planned: int
    rate: float
    """Good answers a second that came within the window."""
    answers: Mapping[str, int]
    """By status of HTTP, or name of gRPC's code."""
    failures: Mapping[str, int]
    """Without an answer: ``timeout``, ``refused``, ``lost``, ``garbage``."""
    failed: int
    """All that were not answered well."""
    latency_us: Spread | None
    """None of nothing, and where the generator did not keep up."""
    at_most_us: Spread | None
    """The same with whatever the generator added: the server's is not longer. None of nothing."""
    lag_us: Spread | None
    """How late the generator sent, where a connection was free."""
    cpu: float | None
    """Shares of the time in which the generator's thread used a CPU, and in which it waited for one that others had."""
    starved: float | None
    reopened: int
    resent: int
    why: str | None
    """Why the generator did not keep up; None where it did."""

    @property
    def kept_up(self) -> bool:
        return self.why is None

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "kept_up": self.kept_up}


def shortcoming(lag: Spread | None, latency: Spread | None, cpu: float | None, starved: float | None) -> str | None:
    """What of the generator spoils the measurement; None where nothing does."""
    if cpu is not None and cpu > MOST_CPU:
        return f"the generator used {cpu:.0%} of a CPU: what was measured is the generator"
    if starved is not None and starved > MOST_STARVED:
        return f"the generator waited {starved:.0%} of the time for a CPU that others had: give it one of its own"
    if lag is None or latency is None:
        return None
    if lag["p99"] > max(LITTLE_LAG_US, MOST_LAG_SHARE * latency["p99"]):
        return (
            f"the generator sent up to {lag['p99'] / 1e3:.2f} ms late (p99), beside a latency of "
            f"{latency['p99'] / 1e3:.2f} ms: give it a CPU of its own, or a lower rate"
        )
    return None


def sustained(run: Run, p99_ms: float) -> bool:
    """Whether the server carried the load: no failure, hardly anything left over at the end, and in time."""
    latency, left_over = run.latency_us, run.planned - run.rate * run.seconds
    return (
        run.failed == 0
        and latency is not None
        and latency["p99"] <= p99_ms * 1e3
        and left_over <= max((1 - IN_TIME) * run.planned, run.connections)
    )


_GRPC_CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)


def code_name(code: int, *, is_grpc: bool) -> str:
    return _GRPC_CODES[code] if is_grpc and code < len(_GRPC_CODES) else str(code)


def read_run(found: Mapping[str, Any], *, rate: float | None, connections: int, seconds: float, is_grpc: bool) -> Run:
    """The run that ``modelcycle_core.load`` tells of."""
    lag = found["lag_us"] if rate is not None else None
    why = shortcoming(lag, found["latency_us"], found["cpu"], found["starved"])
    return Run(
        mode="closed" if rate is None else "open",
        planned_rate=rate,
        connections=connections,
        seconds=seconds,
        planned=found["planned"],
        rate=found["good_in_time"] / seconds,
        answers={code_name(code, is_grpc=is_grpc): count for code, count in found["answers"].items()},
        failures=dict(found["failures"]),
        failed=found["planned"] - found["good"],
        latency_us=None if why else found["latency_us"],
        at_most_us=found["latency_us"],
        lag_us=lag,
        cpu=found["cpu"],
        starved=found["starved"],
        reopened=found["reopened"],
        resent=found["resent"],
        why=why,
    )
