"""Keeps outside facts fresh while some plan wants them: one poller for each endpoint."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from modelcycle.clock import Clock
from modelcycle.core.plan import Fact, FactRequest, Facts
from modelcycle.errors import ModelcycleError, Retryable, Unusable
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import Adapter, FactReadings, Key, Poller

LOG = logging.getLogger(__name__)
SOONEST = 1.0  # new requests don't wait for the poller's next turn, but no endpoint is asked more often than this
SILENT_SECONDS = 25.0
SILENT_TURNS = 5  # of a poller with long turns: fewer could be an accident


@dataclass(slots=True)
class Line:
    """What one poller is asked to read. ``news``: some of it has never been read. ``kind``: of facts, for metrics."""

    kind: str
    endpoint: str
    poller: Poller
    requests: set[FactRequest] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class FactBook:
    """Who wants to know what, and what was read last. A change, also of the error, brings the keys back."""

    def __init__(self, adapters: Iterable[Adapter], enqueue: Callable[[Key], None], clock: Clock) -> None:
        self._enqueue = enqueue
        self._clock = clock
        self._wanted: dict[Key, frozenset[FactRequest]] = {}
        self._by: dict[FactRequest, set[Key]] = {}
        self._facts: dict[FactRequest, Fact] = {}
        self._failed_once: set[FactRequest] = set()
        self._lines: dict[tuple[type[FactRequest], str], Line] = {}
        for adapter in adapters:
            self._add_lines(adapter)

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple({id(line): line for line in self._lines.values()}.values())

    def of(self, key: Key) -> Facts:
        """What is known of what ``key`` wants to know."""
        return {one: self._facts[one] for one in self._wanted.get(key, ()) if one in self._facts}

    def subscribe(self, key: Key, requests: frozenset[FactRequest]) -> None:
        """Keep ``requests`` fresh for ``key``, and nothing else."""
        before = self._wanted.get(key, frozenset())
        self._wanted[key] = requests
        for request in requests - before:
            self._want(key, request)
        for request in before - requests:
            self._release(key, request)

    def forget(self, key: Key) -> None:
        self.subscribe(key, frozenset())
        del self._wanted[key]

    def clear(self) -> None:
        """Nobody wants to know anything: this replica decides nothing."""
        for key in list(self._wanted):
            self.forget(key)

    def unread(self, requests: Iterable[FactRequest]) -> frozenset[FactRequest]:
        return frozenset(request for request in requests if request not in self._facts)

    def store(self, readings: FactReadings, at: datetime) -> None:
        """Take in what was read at ``at``. An error keeps the last value with its time until it is given up.

        What was never read stays unread by one call that gets no answer: that is no outage either.
        """
        for request, reading in readings.items():
            if request in self._by and not self._fails_for_the_first_time(request, reading):
                self._store(request, self._fact(request, reading, at))

    def now(self) -> datetime:
        return self._clock()

    def _add_lines(self, adapter: Adapter) -> None:
        kind = "+".join(sorted(type_.__name__ for type_ in adapter.facts))
        for endpoint, poller in adapter.pollers.items():
            line = Line(kind, endpoint, poller)
            self._lines.update({(type_, endpoint): line for type_ in adapter.facts})

    def _want(self, key: Key, request: FactRequest) -> None:
        self._by.setdefault(request, set()).add(key)
        endpoint = getattr(request, "endpoint", "")
        line = self._line(request)
        if line is None:
            unknown = Unusable(
                "EndpointUnknown", f"no endpoint named {endpoint} is defined for {type(request).__name__}"
            )
            self._store(request, Fact(None, error=str(unknown)))
        elif request not in line.requests:
            line.requests.add(request)
            line.news.set()

    def _release(self, key: Key, request: FactRequest) -> None:
        keys = self._by[request]
        keys.discard(key)
        if keys:
            return
        del self._by[request]
        self._facts.pop(request, None)
        self._failed_once.discard(request)
        line = self._line(request)
        if line is not None:
            line.requests.discard(request)

    def _line(self, request: FactRequest) -> Line | None:
        return self._lines.get((type(request), getattr(request, "endpoint", "")))

    def _fails_for_the_first_time(self, request: FactRequest, reading: object) -> bool:
        if request in self._facts or request in self._failed_once or not isinstance(reading, Retryable):
            return False
        self._failed_once.add(request)
        return True

    def _fact(self, request: FactRequest, reading: object, at: datetime) -> Fact:
        if not isinstance(reading, ModelcycleError):
            return Fact(at, reading)
        before, line = self._facts.get(request), self._line(request)
        if before is None or line is None or is_given_up(before, self._clock(), line.poller.interval):
            return Fact(None, error=str(reading))
        return Fact(before.at, before.value, str(reading))

    def _store(self, request: FactRequest, fact: Fact) -> None:
        before = self._facts.get(request)
        self._facts[request] = fact
        if before is None or (before.value, before.error) != (fact.value, fact.error):
            for key in self._by[request]:
                self._enqueue(key)


def is_given_up(before: Fact, now: datetime, interval: float) -> bool:
    """Whether an endpoint that is asked every ``interval`` seconds, and failed once more, is said to be away.

    Two failures in a row and 25 s (or five turns, if that is longer) since the question of the last answer: one call
    that fails is no outage, however long it took to fail.
    """
    if before.at is None:
        return True
    silence = timedelta(seconds=max(SILENT_SECONDS, SILENT_TURNS * interval))
    return before.error is not None and now - before.at >= silence


async def poll(line: Line, book: FactBook, metrics: Metrics) -> None:
    """Read what ``line`` is asked for at every turn of its poller, and what is new in between. Never returns."""
    turn = _monotonic()
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout_at(turn):
                await line.news.wait()
        line.news.clear()
        is_turn = _monotonic() >= turn
        if is_turn:
            turn = _monotonic() + line.poller.interval
        wanted = frozenset(line.requests) if is_turn else book.unread(line.requests)
        if wanted:
            await _read(line, wanted, book, metrics)
            await asyncio.sleep(min(SOONEST, line.poller.interval))


async def _read(line: Line, requests: Collection[FactRequest], book: FactBook, metrics: Metrics) -> None:
    at = book.now()  # of the question: an answer is never younger than that
    try:
        readings = await line.poller.read(requests)
    except ModelcycleError as error:
        readings = dict.fromkeys(requests, error)
    except Exception as error:  # a bug of the adapter is an error of its facts, not the end of the poller
        LOG.exception("reading from %s failed unexpectedly", line.endpoint)
        readings = dict.fromkeys(requests, Unusable("InternalError", f"reading failed unexpectedly: {error!r}"))
    failed = sum(isinstance(reading, ModelcycleError) for reading in readings.values())
    metrics.readings.labels(line.kind, line.endpoint, "error").inc(failed)
    metrics.readings.labels(line.kind, line.endpoint, "ok").inc(len(readings) - failed)
    book.store(readings, at)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
