"""Carries out effects beside the passes that ask for them: a slow registry holds up nobody who doesn't need it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from modelcycle.clock import Clock
from modelcycle.cluster.port import Fence
from modelcycle.core.plan import Effect, Outcome
from modelcycle.errors import Fenced, ModelcycleError, Retryable, Unusable
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.outcomes import OutcomeBook
from modelcycle.runtime.ports import EffectHandler, Key
from modelcycle.runtime.queue import BACKOFF_LONGEST, backoff

LOG = logging.getLogger(__name__)
AT_ENDPOINT = 256  # at once: most of them wait for a search that they share; its few connections are the limit
IN_CLUSTER = 64  # at once, with up to a megabyte of ConfigMap in hand
RETRY_LONGEST = 60.0  # an endpoint that is back is noticed within a minute, and asked for little meanwhile


@dataclass(frozen=True, slots=True)
class _Failed:
    """``due``: not again before this time of the event loop."""

    times: int
    due: float


@dataclass(frozen=True, slots=True)
class _Run:
    """``effects``: what is still to be carried out for a resource, one after the other."""

    key: Key
    uid: str
    effects: tuple[Effect, ...]


@dataclass(slots=True)
class _Line:
    """Who waits for one of the places: whoever has come furthest is the first, so that things are finished, not begun.

    First come, first served would take thousands that begin together through each step together: all of them would be
    half done for as long as the last one takes.
    """

    free: int
    waiting: list[tuple[int, int, _Run]] = field(default_factory=list)


class EffectRunner:
    """One effect of a resource at a time, several resources at once; results go to the book, keys back to the queue."""

    def __init__(
        self,
        handlers: Mapping[type[Effect], EffectHandler],
        book: OutcomeBook,
        fence: Fence,
        enqueue: Callable[[Key], None],
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._handlers = handlers
        self._book = book
        self._fence = fence
        self._enqueue = enqueue
        self._clock = clock
        self._metrics = metrics
        self._running: set[str] = set()  # uids, of those too that wait for a place
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: dict[object, _Line] = {}
        self._numbers = itertools.count()
        self._failed: dict[tuple[str, Effect], _Failed] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def request(self, key: Key, uid: str, effects: Iterable[Effect]) -> None:
        """Start those of ``effects`` that have no result yet and whose backoff is over.

        While others of the same resource are under way nothing is started: their end brings the key back.
        """
        if uid in self._running:
            return
        due = [effect for effect in effects if self._is_due(key, uid, effect)]
        if due:
            self._wait(_Run(key, uid, tuple(due)))

    def forget(self, uid: str) -> None:
        """The resource is gone. What is under way goes on: half of it may be done."""
        self._book.forget(uid)
        timer = self._timers.pop(uid, None)
        if timer is not None:
            timer.cancel()
        for failed in [one for one in self._failed if one[0] == uid]:
            del self._failed[failed]

    async def stop(self) -> None:
        """Cancel what is under way and forget all results."""
        for line in self._lines.values():
            line.waiting.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()
        self._lines.clear()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._failed.clear()
        self._book.clear()

    async def idle(self) -> None:
        """Returns as soon as nothing is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _is_due(self, key: Key, uid: str, effect: Effect) -> bool:
        outcome = self._book.get(uid, effect)
        if outcome is not None and outcome.ok:
            return False
        failed = self._failed.get((uid, effect))
        wait = failed.due - _now() if failed is not None else 0.0
        if wait > 0:
            self._come_back(key, uid, wait)
        return wait <= 0

    def _come_back(self, key: Key, uid: str, seconds: float) -> None:
        timer = self._timers.get(uid)
        if timer is None or timer.when() > _now() + seconds:
            if timer is not None:
                timer.cancel()
            self._timers[uid] = asyncio.get_running_loop().call_later(seconds, self._returned, key, uid)

    def _returned(self, key: Key, uid: str) -> None:
        del self._timers[uid]
        self._enqueue(key)

    def _wait(self, run: _Run) -> None:
        """For a place where its next effect goes. No task before it has one: thousands of them would be heavy."""
        self._running.add(run.uid)
        place = _place(run.effects[0])
        line = self._lines.setdefault(place, _Line(AT_ENDPOINT if place[1] else IN_CLUSTER))
        heapq.heappush(line.waiting, (-self._book.count(run.uid), next(self._numbers), run))
        self._start(line)

    def _start(self, line: _Line) -> None:
        while line.free and line.waiting:
            *_, run = heapq.heappop(line.waiting)
            line.free -= 1
            task = asyncio.create_task(self._run(line, run), name=f"effects of {run.key}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, line: _Line, run: _Run) -> None:
        effect, *others = run.effects
        try:
            self._book.store(run.uid, effect, await self._carried_out(run.key, run.uid, effect))
        except Fenced:
            LOG.info("%s: effects are left to the leader", run.key)
            self._running.discard(run.uid)
        else:
            if others:
                self._wait(replace(run, effects=tuple(others)))
            else:
                self._running.discard(run.uid)
            self._enqueue(run.key)
        finally:
            line.free += 1
            self._start(line)

    async def _carried_out(self, key: Key, uid: str, effect: Effect) -> Outcome:
        name = type(effect).__name__
        self._fence.check()
        try:
            value = await self._handlers[type(effect)](effect)
        except Fenced:  # between two of its requests
            raise
        except ModelcycleError as error:
            return self._failure(key, uid, effect, error)
        except Exception as error:  # a bug of the adapter must not stop the operator, nor be tried in a loop
            LOG.exception("%s: %s failed unexpectedly", key, effect)
            return self._failure(key, uid, effect, Unusable("InternalError", f"{name}: {error!r}"))
        self._failed.pop((uid, effect), None)
        self._metrics.effects.labels(name, "ok").inc()
        LOG.info("%s: %s succeeded", key, name)
        return Outcome(at=self._clock(), value=value)

    def _failure(self, key: Key, uid: str, effect: Effect, error: ModelcycleError) -> Outcome:
        kind = error.reason if isinstance(error, Unusable) else type(error).__name__
        before = self._failed.get((uid, effect))
        times = before.times + 1 if before is not None else 1
        seconds = _pause(error, times)
        self._failed[uid, effect] = _Failed(times, _now() + seconds)
        self._come_back(key, uid, seconds)
        self._metrics.effects.labels(type(effect).__name__, kind).inc()
        LOG.warning("%s: %s failed (%s), again in %.0f s: %s", key, type(effect).__name__, kind, seconds, error)
        return Outcome(at=self._clock(), error=str(error), error_kind=kind, retryable=isinstance(error, Retryable))


def _pause(error: ModelcycleError, times: int) -> float:
    """Seconds until an effect that failed ``times`` in a row is tried again."""
    if isinstance(error, Retryable):
        return max(error.after or 0.0, min(RETRY_LONGEST, backoff(times, jitter=0.0)))
    return BACKOFF_LONGEST


def _place(effect: Effect) -> tuple[str, str | None]:
    """Where an effect goes, so that endpoints that don't answer take no places from others; None: to the cluster."""
    return type(effect).__module__, getattr(effect, "endpoint", None)


def _now() -> float:
    return asyncio.get_running_loop().time()
