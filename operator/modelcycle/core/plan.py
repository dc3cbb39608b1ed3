"""What a decision is made of: ``decide(observed, now) -> Plan``.

A controller gathers a frozen observation, asks a pure function for the plan, and carries it out. Nothing of a plan is
kept: after a crash the same observation gives the same plan again, and everything in it may be done twice.

*Effects* are requests to the world outside the cluster (MLflow). They are hashable values and their own idempotency
keys: the result of carrying one out comes back as ``observed.outcomes[effect]`` in a later pass, never as a return
value. A decision that wants the result asks for the effect again until its outcome is there.

*Facts* are readings of the outside (a model's aliases, a metric query) that pollers keep fresh while somebody wants
them; they come back as ``observed.facts[fact_request]`` with the time of the reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

Manifest = dict[str, Any]
StatusT = TypeVar("StatusT")


class EventType(StrEnum):
    NORMAL = "Normal"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, once. ``transition`` tells it from others of its reason: the name is made of both."""

    reason: str
    note: str
    transition: str
    type: EventType = EventType.NORMAL
    action: str = "Reconcile"


@dataclass(frozen=True, slots=True)
class Ref:
    """Names an object of the cluster; ``uid`` guards a deletion against hitting a namesake."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """Base of all effects: a frozen dataclass of hashable fields, carried out at least once, with one result."""


@dataclass(frozen=True, slots=True)
class FactRequest:
    """Base of all fact requests: a frozen dataclass of hashable fields that says what is to be kept fresh."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an effect: a ``value``, or an ``error`` (a message for people, and whether trying again helps)."""

    at: datetime
    value: Any = None
    error: str | None = None
    error_kind: str | None = None  # class name from modelcycle.errors, or the reason of an Unusable
    retryable: bool = False

    @property
    def ok(self) -> bool:
        return self.error is None


@dataclass(frozen=True, slots=True)
class Fact:
    """A reading of the outside: ``at`` is when it last worked, ``error`` is why the latest try did not."""

    at: datetime | None
    value: Any = None
    error: str | None = None

    def fresh(self, now: datetime, within: timedelta) -> bool:
        """Whether the value can be relied on; a stale fact is Unknown, never good and never bad."""
        return self.at is not None and now - self.at <= within


Outcomes = Mapping[Effect, Outcome]
Facts = Mapping[FactRequest, Fact]


@dataclass(frozen=True, slots=True)
class Plan(Generic[StatusT]):
    """What to do, in this order: apply, create, delete, effects, events, status.

    Each waits for the one before it and none is done after an error, with one exception: effects are started, not
    waited for, so that a registry that is away delays no status. What came of them is in a later pass's
    ``observed.outcomes``.

    ``apply``: manifests for server-side apply. ``create``: manifests that are made once and never touched again (409 is
    success), such as a policy's trainings. ``status`` is written only where it differs from what is there. ``facts``
    are kept fresh until the next plan. ``look_again`` is when to decide anew if nothing happens before.
    """

    status: StatusT
    apply: tuple[Manifest, ...] = ()
    create: tuple[Manifest, ...] = ()
    delete: tuple[Ref, ...] = ()
    effects: tuple[Effect, ...] = ()
    events: tuple[Event, ...] = ()
    facts: frozenset[FactRequest] = field(default_factory=frozenset)
    look_again: timedelta | None = None
