"""What can befall a request or a watch, and the plan that says which: frozen, and the same for the same requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from tests.crash.signatures import Access, Named


class Fault(StrEnum):
    """``before``: it never arrives. ``after``: it is carried out, and nobody hears the answer."""

    KILL_BEFORE = "operator killed before"
    KILL_AFTER = "operator killed after"
    # answered by the proxy, never carried out
    CONFLICT = "answered 409"
    GONE = "answered 410"
    THROTTLED = "answered 429"
    BROKEN = "answered 500"
    UNAVAILABLE = "answered 503"
    # carried out
    GARBAGE = "carried out, answered with a page that is not JSON"
    TRUNCATED = "carried out, the answer cut short"
    LOST = "carried out, the connection lost"
    SILENT = "carried out, never answered"
    DELAYED = "delayed"
    # watches and lists
    DROPPED = "watch event dropped"
    DUPLICATED = "watch event told twice"
    FROZEN = "watch frozen"
    STALE = "list of an older resourceVersion"


KILLS = frozenset({Fault.KILL_BEFORE, Fault.KILL_AFTER})
INSTEAD = {
    Fault.CONFLICT: 409,
    Fault.GONE: 410,
    Fault.THROTTLED: 429,
    Fault.BROKEN: 500,
    Fault.UNAVAILABLE: 503,
}
"""The statuses that are answered instead of passing the request on."""
LOSSES = frozenset({*INSTEAD, Fault.GARBAGE, Fault.TRUNCATED, Fault.LOST, Fault.SILENT})
"""After one of these the operator does not know whether its request was carried out."""
HOLDING = frozenset({Fault.SILENT, Fault.DELAYED, Fault.FROZEN})
"""While one of these lasts, that nothing is written says nothing."""


@dataclass(frozen=True, slots=True)
class Match:
    """Which requests or events; what is None does not matter."""

    access: frozenset[Access] | None = None
    sides: frozenset[str] | None = None
    texts: frozenset[str] | None = None

    def takes(self, one: Named) -> bool:
        wanted = ((self.access, one.access), (self.sides, one.side), (self.texts, one.text))
        return all(among is None or value in among for among, value in wanted)


ANYTHING = Match()


@dataclass(frozen=True, slots=True)
class Planned:
    """``fault`` befalls the ``nth`` (from 1) request of each signature that matches, and each ``every``-th after it."""

    match: Match
    fault: Fault
    nth: int = 1
    every: int = 0

    def befalls(self, one: Named, occurrence: int) -> bool:
        later = occurrence - self.nth
        due = later == 0 or (self.every > 0 and later > 0 and later % self.every == 0)
        return due and self.match.takes(one)


Plan = tuple[Planned, ...]


def fault_for(plan: Iterable[Planned], one: Named, occurrence: int) -> Fault | None:
    """The first of ``plan`` that befalls the ``occurrence``-th (from 1) request of this signature."""
    return next((planned.fault for planned in plan if planned.befalls(one, occurrence)), None)


def killed_at(text: str, occurrence: int, fault: Fault) -> Plan:
    """The operator is killed by one request that changes something."""
    match = Match(access=frozenset({Access.WRITE}), texts=frozenset({text}))
    return (Planned(match, fault, occurrence),)
