"""What can go wrong with images.

ImagesError            everything that this package raises on purpose; its text is meant for the person at the terminal
└── CommandFailed      a program ended with an error: names it, its log, the log's last lines, and what to do
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

TAIL_LINES = 15


class ImagesError(Exception):
    """Something that a person has to know or do, in whole sentences."""


class CommandFailed(ImagesError):
    """A program ended with an error."""

    def __init__(self, command: Sequence[str], code: int, log: Path, advice: str) -> None:
        """Read the log's last lines now: a later run may write over it."""
        tail = "".join(f"  | {line}\n" for line in tail_of(log, TAIL_LINES))
        super().__init__(f"{command[0]} ended with status {code}.\n{tail}The whole log is {log}.\n{advice}")
        self.code = code


def tail_of(log: Path, lines: int) -> list[str]:
    """Give the last lines of a log, none if there is no log yet."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.replace("\r", "\n").splitlines() if line.strip()][-lines:]
