"""The one shape of every controller: look at a key, observe, decide, act, and know when to look again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from modelcycle.clock import Clock
from modelcycle.cluster.kinds import KINDS
from modelcycle.core.conditions import ending
from modelcycle.core.hashing import short_hash
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Event, EventType, Plan
from modelcycle.errors import Conflict, Fenced, ModelcycleError, Retryable, Terminating, Unavailable, Unusable
from modelcycle.runtime.actor import Actor
from modelcycle.runtime.blocked import blocked
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.effects import EffectRunner
from modelcycle.runtime.facts import FactBook
from modelcycle.runtime.logs import working_on
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.outcomes import OutcomeBook
from modelcycle.runtime.ports import Domain, Key
from modelcycle.runtime.queue import WorkQueue
from modelcycle.runtime.recorder import Recorder
from modelcycle.runtime.rush import Rush
from modelcycle.settings import Settings

LOG = logging.getLogger(__name__)
AnyResource = Resource[Any, Any]
REASON_ERROR = "ReconcileError"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the controllers share."""

    cache: Cache
    actor: Actor
    recorder: Recorder
    effects: EffectRunner
    outcomes: OutcomeBook
    facts: FactBook
    settings: Settings
    clock: Clock
    metrics: Metrics
    forgotten: Callable[[Key], None]


@dataclass(frozen=True, slots=True)
class _Life:
    """Of a resource under a key. ``since``: when it was looked at for the first time."""

    uid: str
    since: datetime


class Controller:
    """Carries out what a domain decides, key by key."""

    def __init__(self, domain: Domain, parts: Parts, queue: WorkQueue) -> None:
        self.domain = domain
        self.queue = queue
        self.rush = Rush()
        self._parts = parts
        self._kind = KINDS[domain.kind]
        self._lives: dict[Key, _Life] = {}
        self._failing: dict[Key, str] = {}
        self._terminating: dict[Key, str] = {}  # uid of what goes with its namespace

    async def work(self) -> None:
        """Take keys until cancelled. Several workers may do so at once: no two ever have the same key."""
        while True:
            key = await self.queue.get()
            try:
                with working_on(key, f"{random.getrandbits(32):08x}"):
                    await self._pass(key)
            finally:
                self.queue.done(key)

    async def reconcile(self, key: Key) -> float | None:
        """One pass. Returns the seconds after which to look again, if the plan wants that."""
        resource = self._parts.cache.get(Resource, key.kind, key.namespace, key.name)
        self._forget_former_life(key, resource)
        if resource is None or resource.deleting or self._terminating.get(key) == resource.uid:
            self._parts.facts.forget(key)
            return None
        if resource.status is None:
            raise Unusable(
                "StatusUnreadable",
                f"the status can't be understood ({resource.invalid}); nothing is done, so that nothing in it is lost: "
                "run the version of the operator that wrote it",
            )
        plan = await self._plan(key, resource)
        await self._act(key, resource, plan)
        return plan.look_again.total_seconds() if plan.look_again is not None else None

    async def _plan(self, key: Key, resource: AnyResource) -> Plan[Any]:
        parts, domain = self._parts, self.domain
        await parts.actor.confirm(self._kind, resource, domain.expected(resource))
        outcomes, facts = parts.outcomes.of(resource.uid), parts.facts.of(key)
        seen = domain.observe(resource, parts.cache, outcomes, facts, parts.settings)
        now = parts.clock()
        observed = replace(seen, since=self._lives[key].since, rush=self.rush.is_on(now))
        plan = domain.decide(observed, now)
        parts.facts.subscribe(key, plan.facts)
        return plan

    async def _act(self, key: Key, resource: AnyResource, plan: Plan[Any]) -> None:
        """In the order of ``Plan``, and no further than the first error.

        The status comes last and only when all before it went through, since it is what the next decision starts from:
        a status that says "the Job is made", "the event is told", must never be ahead of the Job and the event.
        Effects are the exception: what came of them is in no status before a later pass has seen their outcome.
        """
        parts = self._parts
        for manifest in plan.apply:
            await parts.actor.apply(resource, manifest)
        for manifest in plan.create:
            await parts.actor.create(resource, manifest)
        for ref in plan.delete:
            await parts.actor.delete(resource, ref)
        parts.effects.request(key, resource.uid, plan.effects)
        for event in plan.events:
            await parts.recorder.record(key.kind, resource, event)
        # Equal models have equal manifests; the other way round it takes a closer look.
        if plan.status != resource.status and plan.status.manifest() != resource.status.manifest():
            # The answer goes into the cache, which brings the key back at once: the next step follows from this one.
            await parts.actor.write_status(self._kind, resource, plan.status)
        elif not plan.effects and ending(plan.status.conditions) is not None:
            parts.outcomes.forget(resource.uid)  # they are in the status, and nothing more is to come

    # --- how a pass ends ---------------------------------------------------------------------------------------------
    async def _pass(self, key: Key) -> None:
        started = asyncio.get_running_loop().time()
        result = await self._ended(key)
        seconds = asyncio.get_running_loop().time() - started
        self._parts.metrics.passes.labels(key.kind, result).inc()
        self._parts.metrics.pass_seconds.labels(key.kind).observe(seconds)
        self._parts.metrics.failing.labels(key.kind).set(len(self._failing))

    async def _ended(self, key: Key) -> str:
        """The result's name, as controller-runtime has it in its metrics."""
        try:
            again = await self.reconcile(key)
        except Fenced:
            return "fenced"  # whoever is the leader next looks at every key
        except Conflict as error:
            # The cache has been told what is there instead, which brings the key back at once; this is for the rest.
            LOG.info("somebody else was faster, looking again: %s", error)
            self.queue.retry(key)
            return "requeue"
        except Terminating as error:
            return self._left_to_end(key, error)
        except ModelcycleError as error:
            await self._failed(key, error)
            return "error"
        except Exception as error:  # a bug in one domain must not stop the others
            LOG.exception("the pass failed unexpectedly")
            await self._failed(key, Unusable("InternalError", f"unexpected {type(error).__name__}: {error}"))
            return "error"
        self._failing.pop(key, None)
        self.queue.succeeded(key)
        self.queue.look_again(key, again)
        return "success" if again is None else "requeue_after"

    def _left_to_end(self, key: Key, error: Terminating) -> str:
        """A namespace never comes back from its end: until the resource is another one, nothing is tried again."""
        LOG.info("left alone, since its namespace is being deleted: %s", error)
        self._terminating[key] = self._lives[key].uid
        self._failing.pop(key, None)
        self._parts.facts.forget(key)
        self.queue.forget(key)
        return "success"

    async def _failed(self, key: Key, error: ModelcycleError) -> None:
        seconds = self.queue.retry(key, error.after if isinstance(error, Retryable) else None)
        LOG.error("the pass failed, again in %.0f s: %s", seconds, error)
        is_new = self._failing.get(key) != str(error)
        self._failing[key] = str(error)
        resource = self._parts.cache.get(Resource, key.kind, key.namespace, key.name)
        if isinstance(error, Unavailable) or resource is None:
            return
        try:
            if is_new:
                await self._parts.recorder.record(key.kind, resource, _error_event(error))
            elif not isinstance(error, Retryable) and resource.status is not None:
                await self._tell_in_status(resource, error)
        except ModelcycleError as second:
            LOG.warning("the error could not be told in the cluster: %s", second)

    async def _tell_in_status(self, resource: AnyResource, error: ModelcycleError) -> None:
        status = blocked(resource.status, error, resource.generation, self._parts.clock())
        if status is not None:
            await self._parts.actor.write_status(self._kind, resource, status)

    def _forget_former_life(self, key: Key, resource: AnyResource | None) -> None:
        before = self._lives.get(key)
        if before is not None and resource is not None and before.uid == resource.uid:
            return
        if before is not None:
            del self._lives[key]
            self._parts.effects.forget(before.uid)
            self._failing.pop(key, None)
            self._terminating.pop(key, None)
            self.queue.forget(key)
            self._parts.forgotten(key)
        if resource is not None:
            now = self._parts.clock()
            self._lives[key] = _Life(resource.uid, now)
            self.rush.came(now)


def _error_event(error: ModelcycleError) -> Event:
    return Event(REASON_ERROR, str(error), transition=short_hash(str(error)), type=EventType.WARNING)
