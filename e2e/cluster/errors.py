"""What can go wrong while a cluster comes or goes.

ClusterError
 ├── BuildError       a binary could not be built
 ├── StartError       a component did not become ready
 └── MachineError     the machine lacks something (a package, root, a kernel feature)
"""

from __future__ import annotations

from pathlib import Path

LAST_LINES = 15


class ClusterError(Exception):
    """Says what is wrong, where to look (with the log's last lines) and what to do."""

    def __init__(self, what: str, *, log: Path | None = None, do: str = "") -> None:
        """`log` is quoted with its last lines; `do` is the next step for the reader."""
        parts = [what]
        if log is not None:
            parts.append(f"  log: {log}\n{last_lines(log)}")
        if do:
            parts.append(f"  what to do: {do}")
        super().__init__("\n".join(parts))


class BuildError(ClusterError):
    pass


class StartError(ClusterError):
    pass


class MachineError(ClusterError):
    pass


def last_lines(log: Path, count: int = LAST_LINES) -> str:
    """The end of a log, indented; says so when there is none."""
    try:
        lines = log.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    return "\n".join(f"    | {line[:300]}" for line in lines) or "    | (empty)"
