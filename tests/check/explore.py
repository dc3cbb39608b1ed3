"""Breadth first through the states of a model: each invariant on each step, and from each state the way to rest.

States are told apart by their 64-bit hash, so that millions of them fit; a path is found again by going through its
steps a second time. Of two states with the same hash one is missed: with a million states that happens once in some
forty million runs.
"""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

StateT = TypeVar("StateT", bound=Hashable)
MOST_TICKS = 24
"""So long may a quiet world take to come to rest."""
TOLD = 15
"""So many of the last steps of a quiet world are told."""


@dataclass(frozen=True, slots=True)
class Step(Generic[StateT]):
    """``told``: what happens, for people. ``by_operator``: by a pass or an effect. ``tick``: time goes on.

    ``wrong``: what must not be, whatever it leads to, such as a pass that fails.
    """

    told: str
    after: StateT
    by_operator: bool = False
    tick: bool = False
    wrong: str | None = None


class Model(Protocol[StateT]):
    """What is explored."""

    def initial(self) -> StateT: ...

    def steps(self, state: StateT) -> Iterable[Step[StateT]]:
        """Everything that may happen next."""

    def calm(self, state: StateT) -> Iterable[Step[StateT]]:
        """What happens next when the world has turned quiet; the first that changes something does. The tick last."""

    def essence(self, state: StateT) -> Hashable:
        """What others can see of a state: it must not change any more once all is at rest."""

    def broken(self, before: StateT, step: Step[StateT]) -> str | None:
        """Which invariant a step violates."""

    def at_rest(self, state: StateT) -> str | None:
        """What is wrong with a state in which nothing happens any more."""

    def quiet(self, state: StateT) -> StateT:
        """The state without anything that could still disturb it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """``path``: the steps from the initial state, no shorter way leads to it. ``tail``: then the world was quiet."""

    message: str
    path: tuple[str, ...]
    tail: tuple[str, ...] = ()

    def __str__(self) -> str:
        steps = [f"{number:3}. {told}" for number, told in enumerate(self.path, 1)]
        left_out = [f"   - ({len(self.tail) - TOLD} steps)"] if len(self.tail) > TOLD else []
        quiet = [*left_out, *(f"   - {told}" for told in self.tail[-TOLD:])]
        heading = ["     from here on nobody disturbs it:"] if quiet else []
        return "\n".join([f"violated: {self.message}", *steps, *heading, *quiet])


@dataclass(frozen=True, slots=True)
class Report:
    """``complete``: every state within the model's bounds was seen, and no limit ended it before."""

    states: int
    steps: int
    depth: int
    seconds: float
    complete: bool
    violation: Violation | None = None

    def __str__(self) -> str:
        extent, found = "all" if self.complete else "the first", "1 violation" if self.violation else "0 violations"
        return (
            f"{extent} {self.states:,} states, {self.steps:,} steps, {self.depth} deep, {self.seconds:.0f} s, "
            f"{self.states / max(self.seconds, 1e-9):,.0f} states/s: {found}"
        )


def explore(model: Model[StateT], *, states: int, seconds: float = float("inf")) -> Report:
    """Until everything is seen, ``states`` are, or ``seconds`` are over; a violation ends it at once."""
    return _Search(model).run(states, seconds)


class _Search(Generic[StateT]):
    def __init__(self, model: Model[StateT]) -> None:
        self.model = model
        self.known: set[int] = set()
        self.parents = array("q")
        self.told = array("q")  # number of the label by which the state was reached
        self.labels: dict[str, int] = {}
        self.rests: set[int] = set()
        self.steps = 0

    def run(self, states: int, seconds: float) -> Report:
        began = time.perf_counter()
        queue: deque[tuple[int, int, StateT]] = deque()
        self._add(self.model.initial(), -1, "", 0, queue)
        depth, violation = 0, None
        while queue and violation is None and len(self.known) < states and time.perf_counter() - began < seconds:
            number, depth, state = queue.popleft()
            violation = self._expand(number, depth, state, queue)
        took = time.perf_counter() - began
        return Report(len(self.known), self.steps, depth, took, not queue and violation is None, violation)

    def _expand(
        self, number: int, depth: int, state: StateT, queue: deque[tuple[int, int, StateT]]
    ) -> Violation | None:
        for step in self.model.steps(state):
            self.steps += 1
            message = step.wrong or self.model.broken(state, step)
            if message is not None:
                return Violation(message, (*self._path(number), step.told))
            if step.after != state:
                self._add(step.after, number, step.told, depth + 1, queue)
        return self._restless(number, state)

    def _add(self, state: StateT, parent: int, told: str, depth: int, queue: deque[tuple[int, int, StateT]]) -> None:
        digest = hash(state)
        if digest in self.known:
            return
        self.known.add(digest)
        queue.append((len(self.parents), depth, state))
        self.parents.append(parent)
        self.told.append(self.labels.setdefault(told, len(self.labels)))

    def _path(self, number: int) -> tuple[str, ...]:
        names = list(self.labels)
        return tuple(reversed([names[self.told[one]] for one in self._line(number)]))

    def _line(self, number: int) -> Iterator[int]:
        while self.parents[number] >= 0:
            yield number
            number = self.parents[number]

    # --- the way to rest ---------------------------------------------------------------------------------------------
    def _restless(self, number: int, state: StateT) -> Violation | None:
        """Follows the quiet world to a tick in which nothing is written, or to a state that is known to rest."""
        state, ticks, ticked = self.model.quiet(state), 0, None
        line: dict[int, None] = {}
        told: list[str] = []
        while (digest := hash(state)) not in self.rests:
            if digest in line or ticks > MOST_TICKS:
                return self._violation("it never comes to rest: something is written again and again", number, told)
            line[digest] = None
            step = next(one for one in self.model.calm(state) if one.after != state)
            if step.tick and ticked == (essence := self.model.essence(state)):
                wrong = self.model.at_rest(state)
                if wrong is not None:
                    return self._violation(wrong, number, told)
                break
            message = step.wrong or self.model.broken(state, step)
            told.append(step.told)
            if message is not None:
                return self._violation(message, number, told)
            if step.tick:
                ticks, ticked = ticks + 1, essence
            state = step.after
        self.rests.update(line)
        return None

    def _violation(self, message: str, number: int, told: list[str]) -> Violation:
        return Violation(message, self._path(number), tuple(told))
