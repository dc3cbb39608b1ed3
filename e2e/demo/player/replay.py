"""The replay itself: asks and tells, day after day."""

from __future__ import annotations

from dataclasses import asdict
from typing import Protocol

from .days import Answer, Day, Entry, Journal
from .pace import Pace

LOOK_EVERY_DAYS = 10


class Model(Protocol):
    """The served model."""

    def predict(self, day: Day) -> tuple[Answer, int]: ...
    def tell(self, token: str, label: float) -> str: ...


class Replay:
    """Asks and tells, day after day."""

    def __init__(self, model: Model, pace: Pace, journal: Journal, look_every: int = LOOK_EVERY_DAYS) -> None:
        self._model = model
        self._pace = pace
        self._journal = journal
        self._look_every = look_every

    def run(self, days: list[Day]) -> None:
        """Replay the days that the journal does not have."""
        rolling = self._pace.rollout_under_way()
        for place, day in enumerate(days):
            if day.time in self._journal.entries:
                continue
            if place:
                self._tell(days[place - 1])
            self._ask(day)
            if rolling or (place + 1) % self._look_every == 0:
                self._pace.catch_up(self._labels())
                if rolling:
                    self._pace.let_rollout_decide()
                rolling = self._pace.rollout_under_way()
            if (place + 1) % 50 == 0:
                report_progress(place + 1, days, self._journal)
        self._tell(days[-1])
        self._pace.catch_up(self._labels())

    def _ask(self, day: Day) -> None:
        answer, tries = self._model.predict(day)
        self._journal.write(
            Entry(day.time, day.label, answer.prediction, answer.version, answer.token, feedback=None, tries=tries)
        )

    def _tell(self, day: Day) -> None:
        entry = self._journal.entries[day.time]
        if entry.feedback is None:
            said = self._model.tell(entry.token, entry.label)
            self._journal.write(Entry(**{**asdict(entry), "feedback": said}))

    def _labels(self) -> int:
        """Labels that count: a duplicate is one that was told just before the process ended."""
        return sum(entry.feedback in ("accepted", "duplicate") for entry in self._journal.entries.values())


def report_progress(done: int, days: list[Day], journal: Journal) -> None:
    """One line: how far, which version, and the mean squared error so far and without a hedge."""
    seen = [journal.entries[day.time] for day in days[:done]]
    hedged = sum((e.label - e.prediction) ** 2 for e in seen) / done
    bare = sum(e.label**2 for e in seen) / done
    print(
        f"{done}/{len(days)} days, {seen[-1].time[:10]}, version {seen[-1].version}: "
        f"mean squared error {hedged:.3f}, without a hedge {bare:.3f}",
        flush=True,
    )
