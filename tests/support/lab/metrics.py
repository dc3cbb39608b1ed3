"""A stand-in for Prometheus: it answers range queries by counters that a test lets jump, namespace by namespace."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from modelcycle import constants as names

LEAD_SECONDS = 10  # so many zeros before the first jump


@dataclass(frozen=True, slots=True)
class Jump:
    """At ``at`` (unix seconds) the series ``labels`` grew by ``by``; a gauge, if it is the only jump of a series."""

    labels: tuple[tuple[str, str], ...]
    at: int
    by: float


@dataclass
class FakePrometheus:
    """``down``: namespaces for which it answers 503."""

    url: str = ""
    down: set[str] = field(default_factory=set)
    _jumps: dict[str, list[Jump]] = field(default_factory=lambda: defaultdict(list))

    def jump(self, namespace: str, by: float, name: str, **labels: str) -> None:
        series = tuple(sorted({"__name__": name, "pod": "one", **labels}.items()))
        # What counts is what came after a moment that a status names, and that has no fractions of seconds.
        self._jumps[namespace].append(Jump(series, int(time.time()) + 1, by))

    def labelled(self, namespace: str, version: str, rows: int, loss: float) -> None:
        """``rows`` labelled rows of ``version`` came, with this mean loss."""
        self.jump(namespace, rows, names.METRIC_FEEDBACK_ROWS, version=version)
        self.jump(namespace, rows * loss, names.METRIC_LOSS_POSITIVE, version=version)
        self.jump(namespace, 0, names.METRIC_LOSS_NEGATIVE, version=version)
        self.jump(namespace, 1_199_145_600, names.METRIC_WATERMARK)

    def served(self, namespace: str, version: str, requests: int) -> None:
        """``requests`` were answered well and fast by ``version``."""
        self.jump(namespace, requests, names.METRIC_REQUESTS, version=version, code="200")
        for bound in ("0.005", "+Inf"):
            self.jump(namespace, requests, f"{names.METRIC_REQUEST_SECONDS}_bucket", version=version, le=bound)

    def answer(self, form: dict[str, str]) -> list[dict[str, Any]]:
        """The result of a range query by the names and the namespace of its selector."""
        query = form["query"]
        namespace = _of(query, r'namespace="([^"]+)"')
        wanted = set(_of(query, r'__name__=~"([^"]+)"').split("|")) - {""} or {query.partition("{")[0]}
        grown: dict[tuple[tuple[str, str], ...], list[Jump]] = defaultdict(list)
        for jump in self._jumps[namespace]:
            if dict(jump.labels)["__name__"] in wanted:
                grown[jump.labels].append(jump)
        start, end, step = (int(float(form[name])) for name in ("start", "end", "step"))
        return [{"metric": dict(labels), "values": _values(jumps, start, end, step)} for labels, jumps in grown.items()]


def _of(query: str, pattern: str) -> str:
    found = re.search(pattern, query)
    return found.group(1) if found else ""


def _values(jumps: list[Jump], start: int, end: int, step: int) -> list[tuple[int, str]]:
    is_gauge = dict(jumps[0].labels)["__name__"] == names.METRIC_WATERMARK
    first = jumps[0].at if is_gauge else jumps[0].at - LEAD_SECONDS
    grid = [at for at in range(start, end + 1, step) if at >= first]
    return [(at, str(sum(jump.by for jump in jumps if jump.at <= at))) for at in grid]


@asynccontextmanager
async def fake_prometheus() -> AsyncIterator[FakePrometheus]:
    """Serve one on a free port of the loopback."""
    fake = FakePrometheus()

    async def handle(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        if _of(form["query"], r'namespace="([^"]+)"') in fake.down:
            return web.Response(status=503, text="no healthy upstream")
        result = fake.answer(form)
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    app = web.Application()
    app.router.add_post("/api/v1/query_range", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
