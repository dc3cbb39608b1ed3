"""What the museum shows: an operator with one guard taken out, and the piece of a suite that sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import pytest

from tests.check.world import World

Patch = pytest.MonkeyPatch


class Bug(StrEnum):
    """Classes of bugs that operators were found to have, as research and their trackers name them."""

    CRASH = "intermediate crash"
    STALE = "stale read"
    MISSED = "unobserved event"
    FORGOTTEN = "terminal state forgotten"
    IGNORED = "ignored field"
    NO_WAY_BACK = "no recovery from bad desired state"
    BAD_VALUE = "undefended bad value"
    MALFORMED = "malformed input stops the controller"
    AMBIGUOUS = "ambiguous external write"
    ACCUMULATION = "accumulation"
    ROLLED_FORWARD = "rollback that rolls forward again"
    TWO_LEADERS = "two leaders"
    FOREIGN = "what belongs to somebody else"
    HOT_LOOP = "hot loop"
    TOO_EARLY = "believed before it was shown"


@dataclass(frozen=True, slots=True)
class Checker:
    """The smallest world of ``tests/check`` in which it shows. ``says``: in the violation that is found there."""

    world: Callable[[], World]
    says: str


@dataclass(frozen=True, slots=True)
class Suite:
    """The ``test`` in a ``file`` below ``tests/unit`` that has to fail; the beginning of its name is enough."""

    file: str
    test: str


@dataclass(frozen=True, slots=True)
class Exhibit:
    """``guard``: what is taken out, by ``breaks``."""

    guard: str
    bug: Bug
    breaks: Callable[[Patch], None]
    caught_by: Checker | Suite
