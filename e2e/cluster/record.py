"""What `up` writes down about a running cluster, for the commands that come later."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from e2e.cluster.paths import ClusterPaths
from e2e.cluster.processes import Identity


@dataclass(frozen=True)
class Record:
    server: str
    supervisor: Identity
    full: bool
    """Whether it has a node, in namespaces of its own."""
    controllers: bool


def write(record: Record, paths: ClusterPaths) -> None:
    partial = paths.record.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(record), indent=1))
    partial.rename(paths.record)


def read(paths: ClusterPaths) -> Record | None:
    """The record of a cluster, or None when there is none (or a half-written one, of an `up` that was killed)."""
    content = _json(paths.record)
    if content is None:
        return None
    supervisor = Identity(**content.pop("supervisor"))
    return Record(**content, supervisor=supervisor)


@dataclass(frozen=True)
class Component:
    name: str
    running: bool
    starts: int
    last_exit: int | None


def components(paths: ClusterPaths) -> list[Component]:
    """What the supervisor last said about its components."""
    content = _json(paths.processes) or {}
    return [Component(name, bool(of["pid"]), of["starts"], of["last_exit"]) for name, of in content.items()]


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return dict(json.loads(path.read_text()))
    except (FileNotFoundError, ValueError):
        return None
