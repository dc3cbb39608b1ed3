"""One pass of the product over a state: its own controller, actor, cache and decisions, against an API in memory.

What a pass does depends on little of a state, so that each pass is worked out once and remembered. It is recorded
request by request: whoever kills the operator in the middle, or loses an answer, finds the state after each of them.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from modelcycle.cluster.kinds import OURS, Kind
from modelcycle.constants import LABEL_OWNER_UID
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Effect, Event, Fact, FactRequest, Facts, Outcome
from modelcycle.errors import Conflict, ModelcycleError
from modelcycle.runtime.actor import Actor
from modelcycle.runtime.controller import Controller, Parts
from modelcycle.runtime.outcomes import OutcomeBook
from modelcycle.runtime.ports import Domain, Key
from modelcycle.runtime.rush import MANY
from modelcycle.settings import Settings
from tests.check.api import Server, ViewCache, numbers
from tests.check.state import (
    ABSENT,
    NAMESPACE,
    OBJECTS,
    SLOTS,
    VALUES,
    Batch,
    Known,
    Noted,
    Slots,
    State,
    as_slots,
    moment,
)

READ, ANSWERED, NOW = timedelta(microseconds=1), timedelta(microseconds=2), timedelta(microseconds=3)
"""Within a tick, all that happens is of the same second; only readings and answers are ordered, as decisions do."""


class Changes(NamedTuple):
    """What a pass leaves behind of the objects that it may look at. ``store`` and ``made``: what is new (ABSENT: gone).

    ``cache``: what the operator takes for true of them although it is not.
    """

    store: Slots
    made: Slots
    cache: Slots


class Written(NamedTuple):
    """``changes``: after a request, whose answer the operator has not seen."""

    told: str
    kind: str
    changes: Changes
    batch: Batch | None


@dataclass(frozen=True, slots=True)
class Passed:
    """``looked_at``: slots. ``error``: what ended the pass early; a Conflict is none, since it brings the key back."""

    told: str
    looked_at: frozenset[int]
    writes: tuple[Written, ...]
    changes: Changes
    batch: Batch | None
    facts: tuple[Known, ...] | None
    error: str | None = None

    def leaves(self, state: State, changes: Changes) -> State:
        """``state`` with ``changes`` made."""
        store, made, cache = dict(state.store), dict(state.made), state.cache
        for slot, number in changes.store:
            if number == ABSENT:
                del store[slot]
            else:
                store[slot] = number
        if cache or changes.cache:
            touched = self.looked_at | {slot for slot, _ in changes.store}
            cache = tuple(sorted((*(one for one in cache if one[0] not in touched), *changes.cache)))
        if not changes.store:
            return state._replace(cache=cache)
        return state._replace(store=as_slots(store), made=as_slots(made | dict(changes.made)), cache=cache)


class Passes:
    """All passes of one operator. ``domains`` by kind. ``rush``: it has many others to look at for the first time."""

    def __init__(self, domains: Mapping[str, Domain], settings: Settings, *, rush: bool = False) -> None:
        self._domains = domains
        self._settings = settings
        self._rush = rush
        self._worked_out: dict[object, Passed] = {}

    def __len__(self) -> int:
        return len(self._worked_out)

    def __call__(self, state: State, key: Key) -> Passed:
        view = _view(state, key)
        found = self._worked_out.get(view)
        if found is None:
            found = self._worked_out[view] = _Pass(self._domains[key.kind], self._settings, view, rush=self._rush).run()
        return found


class View(NamedTuple):
    """What a pass can look at: nothing else of a state makes a difference to it."""

    key: Key
    time: int
    store: Slots
    cache: Slots
    lagging: tuple[str, ...]
    gone: Slots  # how often the names were made that nothing has now
    book: tuple[Noted, ...]
    facts: tuple[Known, ...]
    is_busy: bool


_LOOKS_AT = {
    "ModelTraining": {"Job", "Pod"},
    "ModelDeployment": {"Deployment", "Service", "PodDisruptionBudget", "Pod"},
    "RetrainPolicy": {"Job", "Pod", "ModelTraining", "ModelDeployment", "RetrainPolicy"},
}


def _view(state: State, key: Key) -> View:
    own = SLOTS.number((key.kind, key.name))
    old = dict(state.cache)
    number = old.get(own, dict(state.store).get(own, ABSENT))
    uid = "" if number == ABSENT else str(OBJECTS[number]["metadata"]["uid"])
    seen = {slot for slot, number in (*state.store, *state.cache) if slot == own or _concerns(key.kind, uid, number)}
    kinds = _LOOKS_AT[key.kind]
    alive = {slot for slot, _ in state.store}
    return View(
        key,
        state.time,
        tuple(one for one in state.store if one[0] in seen),
        tuple(one for one in state.cache if one[0] in seen),
        tuple(kind for kind in state.lagging if kind == key.kind or kind in kinds),
        tuple(one for one in state.made if one[0] not in alive and SLOTS[one[0]][0] in kinds),
        tuple(noted for noted in state.book if noted.uid == uid),
        tuple(known for known in state.facts if known.key == key),
        any(batch.uid == uid for batch in state.batches),
    )


_CONCERNS: dict[tuple[str, str, int], bool] = {}


def _concerns(kind: str, uid: str, number: int) -> bool:
    """Whether an object is one that a pass over a resource with this uid may look at."""
    found = _CONCERNS.get((kind, uid, number))
    if found is None:
        raw = OBJECTS[number] if number != ABSENT else {}
        labels = raw.get("metadata", {}).get("labels") or {}
        is_owned = labels.get(LABEL_OWNER_UID, uid if raw.get("kind") in KINDS_OF_OURS else None) == uid
        shares_name = raw.get("kind") == "Service"  # named like the deployment, also that of its former life
        is_near = raw.get("kind") in _LOOKS_AT[kind]
        found = _CONCERNS[kind, uid, number] = is_near and (is_owned or shares_name)
    return found


KINDS_OF_OURS = frozenset(kind.name for kind in OURS)


class _Pass:
    def __init__(self, domain: Domain, settings: Settings, view: View, *, rush: bool) -> None:
        self.view = view
        self.key = view.key
        self.batch: Batch | None = None
        self.facts: tuple[Known, ...] | None = None
        self.known = {known.request: known for known in view.facts}
        self.writes: list[Written] = []
        self.server = Server(view.store, view.gone, view.time, self._wrote)
        self.before = dict(self.server.objects)
        self.cache = ViewCache(self.before, view.cache)
        outcomes = OutcomeBook()
        for noted in view.book:
            outcomes.store(noted.uid, VALUES[noted.effect], outcome(noted))
        parts: Any = Parts(
            cache=self.cache,
            actor=Actor(self.server, self.cache),
            recorder=cast(Any, self),
            effects=cast(Any, self),
            outcomes=outcomes,
            facts=cast(Any, self),
            settings=settings,
            clock=self._now,
            metrics=cast(Any, None),
            forgotten=lambda key: None,
        )
        self.controller = Controller(domain, parts, cast(Any, None))
        for _ in range(MANY if rush else 0):
            self.controller.rush.came(self._now())

    def run(self) -> Passed:
        error = None
        try:
            finish(self.controller.reconcile(self.key))
        except Conflict:
            pass
        except ModelcycleError as problem:
            # As in Controller._failed: one that is gone has nothing that could fail.
            if self.cache.get(Resource, self.key.kind, NAMESPACE, self.key.name) is not None:
                error = f"the pass over {self.key.kind} {self.key.name} fails: {type(problem).__name__}: {problem}"
        done = ", ".join(written.told for written in self.writes)
        asked = ", ".join(type(VALUES[one]).__name__ for one in self.batch.effects) if self.batch else ""
        parts = [done, f"asks for {asked}" if asked else ""]
        told = "; ".join(part for part in parts if part) or "nothing"
        return Passed(
            f"{self.key.kind} {self.key.name} is looked at: {told}",
            frozenset((*self.before, *(slot for slot, _ in self.view.cache))),
            tuple(self.writes),
            self._changes(self.view.lagging),
            self.batch,
            self.facts,
            error,
        )

    def _now(self) -> datetime:
        return moment(self.view.time) + NOW

    # --- effects, facts and events, as the runtime has them -----------------------------------------------------------
    def request(self, key: Key, uid: str, effects: Iterable[Effect]) -> None:
        due = tuple(number for effect in effects if self._is_due(number := VALUES.number(effect)))
        if due and not self.view.is_busy:
            self.batch = Batch(key, uid, due)

    def _is_due(self, effect: int) -> bool:
        """As ``EffectRunner``: what succeeded is not done again, what was refused not before the next tick."""
        noted = next((noted for noted in self.view.book if noted.effect == effect), None)
        if noted is None:
            return True
        before = outcome(noted)
        return not before.ok and (before.retryable or noted.time < self.view.time)

    def of(self, key: Key) -> Facts:
        return {
            VALUES[known.request]: fact_of(known)
            for known in self.known.values()
            if known.time != ABSENT or known.error != ABSENT
        }

    def subscribe(self, key: Key, requests: frozenset[FactRequest]) -> None:
        numbers = sorted(VALUES.number(request) for request in requests)
        self.facts = tuple(self.known.get(number, Known(key, number)) for number in numbers)

    def forget(self, key: Key) -> None:
        self.facts = ()

    async def record(self, kind: str, resource: Resource[Any, Any], event: Event) -> None:
        """Events change nothing that anybody decides on."""

    def _wrote(self, told: str, kind: Kind) -> None:
        lagging = tuple({*self.view.lagging, kind.name})
        self.writes.append(Written(told, kind.name, self._changes(lagging), self.batch))

    def _changes(self, lagging: tuple[str, ...]) -> Changes:
        before, after, taken = numbers(self.before), numbers(self.server.objects), numbers(self.cache.believed)
        old = {
            slot
            for slot in {*self.cache.believed, *self.server.objects}
            if self.cache.believed.get(slot) != self.server.objects.get(slot) and SLOTS[slot][0] in lagging
        }
        return Changes(
            as_slots({slot: after[slot] for slot in {*before, *after} if before[slot] != after[slot]}),
            as_slots(self.server.made),
            as_slots({slot: taken[slot] for slot in old}),
        )


def outcome(noted: Noted) -> Outcome:
    """The answer as the product sees it; ordered against the latest reading, not against other answers."""
    value, error, kind, retryable = VALUES[noted.answer]
    at = moment(noted.time) + (ANSWERED if noted.late else timedelta(0))
    return Outcome(at, value, error, kind, retryable)


def fact_of(known: Known) -> Fact:
    at = moment(known.time) + READ if known.time != ABSENT else None
    value = VALUES[known.value] if known.value != ABSENT else None
    return Fact(at, value, VALUES[known.error] if known.error != ABSENT else None)


def finish(work: Coroutine[Any, Any, Any]) -> Any:
    """Run what never really waits, since all it asks is in memory."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise RuntimeError("a pass waits for something that is not in the model")
