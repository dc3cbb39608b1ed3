"""What ``kubectl get mt,md,rp`` says while it goes on: each line that one could have read, once, without its age."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from e2e.cluster import ClusterError

KINDS = "mt,md,rp"
SECONDS_BETWEEN = 2.0
_AGE = "AGE"

Line = tuple[str, ...]
"""The cells of a line; empty ones count."""


@dataclass(slots=True)
class Looks:
    """Lines by kind, each in the order in which it was first seen; the first line of a kind is its header."""

    seen: dict[str, list[Line]] = field(default_factory=dict)

    def look(self, text: str) -> None:
        """Take in what kubectl printed."""
        for kind, lines in read_tables(text).items():
            known = self.seen.setdefault(kind, [])
            known += [line for line in dict.fromkeys(lines) if line not in known]

    def render(self) -> str:
        """All lines, one table for each kind."""
        return "\n\n".join(render_table(lines) for lines in self.seen.values()) + "\n"


def read_tables(text: str) -> dict[str, list[Line]]:
    """The tables that ``kubectl get`` of several kinds prints: header and lines by kind, without the age."""
    tables: dict[str, list[Line]] = {}
    for block in filter(None, text.split("\n\n")):
        header, *lines = block.strip("\n").splitlines()
        found = list(re.finditer(r"\S+", header))
        columns = [
            (one.start(), after.start() if after else None)
            for one, after in zip(found, [*found[1:], None], strict=True)
            if one.group() != _AGE
        ]
        cells = [tuple(line[start:end].strip() for start, end in columns) for line in (header, *lines)]
        tables[cells[-1][0].split(".")[0]] = cells
    return tables


def render_table(lines: list[Line]) -> str:
    """The lines with their columns below each other, as kubectl does."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


@contextmanager
def looking(ask: Callable[[], str]) -> Iterator[Looks]:
    """Look every few seconds for as long as the block runs, and once at its end.

    ``ask`` returns what kubectl prints.
    """
    looks, over = Looks(), threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS_BETWEEN):
            # An API server that is busy for a moment is looked at again; the last look below must succeed.
            with suppress(ClusterError):
                looks.look(ask())

    watcher = threading.Thread(target=watch, name="looks", daemon=True)
    watcher.start()
    try:
        yield looks
    finally:
        over.set()
        watcher.join()
    looks.look(ask())
