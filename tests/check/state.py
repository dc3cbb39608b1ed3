"""A state of the modelled world: small, hashable, and the same for the same situation however it was reached.

Objects, effects, facts and answers are kept once, in ``Table``s; a state holds their numbers. There are no
resourceVersions in it, only which of the operator's views are old; no random uids, but the how-manieth of its name an
object is; and no clock but the number of the present tick.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from modelcycle.cluster.kinds import OURS
from modelcycle.core.plan import Manifest
from modelcycle.runtime.ports import Key

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TICK = timedelta(minutes=11)
"""Longer than every delay of the product that is not set in a spec, so that one tick makes all of them due."""
ABSENT = -1
_OURS = frozenset(kind.name for kind in OURS)
NAMESPACE = "quant"
ValueT = TypeVar("ValueT")


class Table(Generic[ValueT]):
    """Values with a number each; equal values (by ``key``) have the same."""

    def __init__(self, key: Callable[[ValueT], Hashable]) -> None:
        self._key = key
        self._numbers: dict[Hashable, int] = {}
        self._values: list[ValueT] = []

    def number(self, value: ValueT) -> int:
        number = self._numbers.setdefault(self._key(value), len(self._values))
        if number == len(self._values):
            self._values.append(value)
        return number

    def __getitem__(self, number: int) -> ValueT:
        return self._values[number]


def _same(value: Any) -> Hashable:
    return value  # type: ignore[no-any-return]


SLOTS: Table[tuple[str, str]] = Table(_same)
"""(kind, name) of an object."""
OBJECTS: Table[Manifest] = Table(lambda raw: json.dumps(raw, sort_keys=True))
"""Objects as the API server has them, without their resourceVersion. Never changed in place."""
VALUES: Table[Any] = Table(_same)
"""Effects, fact requests, readings and answers: all of them hashable."""

Slots = tuple[tuple[int, int], ...]


class Left(NamedTuple):
    """How much of what disturbs may still happen."""

    crashes: int = 0
    delays: int = 0  # a watch that lags behind
    losses: int = 0  # a request that is carried out, and its answer lost
    outages: int = 0  # of MLflow
    accidents: int = 0  # pods that fail
    edits: int = 0  # by people
    ticks: int = 0


class Noted(NamedTuple):
    """An answer that the operator remembers. ``late``: it came after the latest reading of the facts."""

    uid: str
    effect: int
    time: int
    late: bool
    answer: int


class Batch(NamedTuple):
    """Effects of one resource that are under way, one after the other."""

    key: Key
    uid: str
    effects: tuple[int, ...]


class Known(NamedTuple):
    """A fact that is wanted: ``time`` is ABSENT until it was read. ``error``: number of its text, or ABSENT."""

    key: Key
    request: int
    time: int = ABSENT
    value: int = ABSENT
    error: int = ABSENT


class State(NamedTuple):
    """``cache``: what the operator takes for true where it is not: (slot, object or ABSENT), of ``lagging`` kinds only.

    ``made``: how often each name was made. ``ghosts``: what only the invariants look at.
    """

    left: Left
    registry: int
    time: int = 0
    store: Slots = ()
    cache: Slots = ()
    lagging: tuple[str, ...] = ()
    book: tuple[Noted, ...] = ()
    batches: tuple[Batch, ...] = ()
    facts: tuple[Known, ...] = ()
    away: bool = False  # MLflow
    made: Slots = ()
    ghosts: tuple[Hashable, ...] = ()


def moment(time: int) -> datetime:
    return START + time * TICK


def stamp(time: int) -> str:
    return moment(time).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_slots(found: Mapping[int, int]) -> Slots:
    return tuple(sorted(found.items()))


def find(state: State, kind: str, name: str) -> Manifest | None:
    slot = SLOTS.number((kind, name))
    return next((OBJECTS[number] for at, number in state.store if at == slot), None)


def all_of(state: State, kind: str) -> list[Manifest]:
    return [OBJECTS[number] for slot, number in state.store if SLOTS[slot][0] == kind]


def changed(state: State, objects: Mapping[tuple[str, str], Manifest | None], delayed: tuple[str, ...] = ()) -> State:
    """The state after others than the operator wrote ``objects``; None deletes.

    The operator sees it at once, but for the kinds whose watch lags, and ``delayed``, whose watch begins to lag.
    """
    store, cache, made = dict(state.store), dict(state.cache), dict(state.made)
    lagging = tuple(sorted({*state.lagging, *delayed}))
    for (kind, name), raw in objects.items():
        slot = SLOTS.number((kind, name))
        before = store.get(slot, ABSENT)
        number = OBJECTS.number(raw) if raw is not None else ABSENT
        if number == before:
            continue
        if kind in lagging:
            cache.setdefault(slot, before)
        if raw is None:
            del store[slot]
            continue
        made[slot] = made.get(slot, 0) + (before == ABSENT)
        store[slot] = number
    return state._replace(store=as_slots(store), cache=as_slots(cache), lagging=lagging, made=as_slots(made))


def made_so_far(state: State, kind: str, name: str) -> int:
    return dict(state.made).get(SLOTS.number((kind, name)), 0)


def custom(kind: str, name: str, uid: str, spec: Mapping[str, object], time: int = 0) -> Manifest:
    """One of our resources as somebody just made it."""
    metadata = {
        "namespace": NAMESPACE,
        "name": name,
        "uid": uid,
        "generation": 1,
        "creationTimestamp": stamp(time),
    }
    return {
        "apiVersion": "modelcycle.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata,
        "spec": dict(spec),
        "status": {},
    }


def keys(state: State) -> list[Key]:
    """Our resources, as far as the store or the operator knows of them."""
    slots = sorted({slot for slot, _ in (*state.store, *state.cache)})
    return [Key(SLOTS[slot][0], NAMESPACE, SLOTS[slot][1]) for slot in slots if SLOTS[slot][0] in _OURS]
