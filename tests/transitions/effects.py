"""The words of the map: what a leaf changes, when, and what follows from a decision that it is part of.

A path is what ``picture`` calls it, or the beginning of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class When(StrEnum):
    """When a change takes effect."""

    CREATION = "at creation; the API server refuses any change after it"
    AT_ONCE = "at once"
    NEXT_ATTEMPT = "at once, the pod's own copy from the next attempt on"
    ROLLED = "at once: pods are replaced one by one"
    NEXT_LOOK = "at the next look, a running rollout included"
    NEXT_CYCLE = "at the next cycle; one that is under way keeps its training"
    NEXT_GATE = "at the next evaluation"
    NEXT_END = "at the end of a cycle"


@dataclass(frozen=True, slots=True)
class Row:
    """``changes``: paths. ``decides``: names of decisions. ``why``: a sentence for what the reader may not expect.

    A leaf that changes nothing has only a ``why``.
    """

    when: When
    changes: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """``about``: in words. ``follows``: the paths that are otherwise when it is taken otherwise."""

    about: str
    follows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """One kind. ``always``: paths that may follow from any change of what is in them. ``leaves``: row by leaf."""

    kind: str
    leaves: dict[str, Row]
    decisions: dict[str, Decision]

    def paths(self, leaf: str) -> tuple[str, ...]:
        """Everything that a change of ``leaf`` may change."""
        row = self.leaves[leaf]
        return (*row.changes, *(path for one in row.decides for path in self.decisions[one].follows))


def covers(pattern: str, path: str) -> bool:
    """Whether ``path`` is ``pattern`` or within it."""
    return path == pattern or (path.startswith(pattern) and path[len(pattern)] in ".[")
