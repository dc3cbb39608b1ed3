"""What is replayed, and what is remembered of it."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

FEATURES = ("sp500", "nasdaq", "sp500_before", "nasdaq_before")


@dataclass(frozen=True, slots=True)
class Day:
    """A row of the table: ``time`` when it is asked, ``label`` told on the next day."""

    time: str
    features: tuple[float, ...]
    label: float


@dataclass(frozen=True, slots=True)
class Answer:
    prediction: float
    version: str
    token: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A day in the journal; ``feedback`` is what the server said to its label, None until it was told."""

    time: str
    label: float
    prediction: float
    version: str
    token: str
    feedback: str | None = None
    tries: int = 1


class Journal:
    """One line for each day asked and one for each label told, flushed at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.entries: dict[str, Entry] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            # The last line may be cut short by whatever ended the process: that day is asked again.
            if line.endswith("}"):
                entry = Entry(**json.loads(line))
                self.entries[entry.time] = entry

    def write(self, entry: Entry) -> None:
        self.entries[entry.time] = entry
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(entry)) + "\n")
            file.flush()
            os.fsync(file.fileno())


def read_days(path: Path, first: str, last: str) -> Iterator[Day]:
    """Rows of hedge.csv from the date ``first`` to ``last``, both included."""
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if first <= row["time"][:10] <= last:
                yield Day(row["time"], tuple(float(row[name]) for name in FEATURES), float(row["oil"]))
