"""Carries out effects beside the passes that ask for them: a slow registry holds up nobody who doesn't need it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

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
        self._running: dict[str, asyncio.Task[None]] = {}
        self._failed: dict[tuple[str, Effect], _Failed] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._places: dict[object, asyncio.Semaphore] = {}

    def request(self, key: Key, uid: str, effects: Iterable[Effect]) -> None:
        """Start those of ``effects`` that have no result yet and whose backoff is over.

        While others of the same resource are under way nothing is started: their end brings the key back.
        """
        if uid in self._running:
            return
        due = [effect for effect in effects if self._is_due(key, uid, effect)]
        if due:
            self._running[uid] = asyncio.create_task(self._run(key, uid, due), name=f"effects of {key}")

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
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._failed.clear()
        self._book.clear()

    async def idle(self) -> None:
        """Returns as soon as nothing is under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

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

    async def _run(self, key: Key, uid: str, effects: list[Effect]) -> None:
        try:
            for effect in effects:
                outcome = await self._carried_out(key, uid, effect)
                self._book.store(uid, effect, outcome)
                self._enqueue(key)
        except Fenced:
            LOG.info("%s: effects are left to the leader", key)
        finally:
            del self._running[uid]

    async def _carried_out(self, key: Key, uid: str, effect: Effect) -> Outcome:
        name = type(effect).__name__
        place = _place(effect)
        async with self._places.setdefault(place, asyncio.Semaphore(AT_ENDPOINT if place[1] else IN_CLUSTER)):
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
