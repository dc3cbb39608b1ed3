"""What a cluster's supervisor has to do, written to a file by `up` and read by the supervisor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """One component. It is started once each of `waits_for` (a socket's path, or host:port) answers."""

    name: str
    argv: Sequence[str]
    waits_for: Sequence[str] = ()


@dataclass(frozen=True)
class Isolation:
    """What a full cluster hides from the machine, in a mount namespace of its own.

    `binds` are (outer, inner) paths: kubelet, containerd and the CNI plugins keep their usual paths and yet leave
    nothing on the machine. `disk_image`, if any, is mounted at `disk` before. `cgroups` are folders of the cluster, one
    for each hierarchy, that its processes join.
    """

    run: str
    binds: Sequence[tuple[str, str]]
    cgroups: Sequence[str]
    disk_image: str
    disk: str


@dataclass(frozen=True)
class Plan:
    root: str
    """The cluster's folder, as the supervisor sees it."""
    processes: Sequence[Process]
    environment: dict[str, str] = field(default_factory=dict)
    isolation: Isolation | None = None
    open_folder: str = ""
    """A folder whose new children are made writable for everyone: see `supervisor.open_volumes`."""


def write(plan: Plan, path: Path) -> None:
    path.write_text(json.dumps(asdict(plan), indent=1))


def read(path: Path) -> Plan:
    content = json.loads(path.read_text())
    isolation = content.pop("isolation")
    processes = [Process(**process) for process in content.pop("processes")]
    return Plan(**content, processes=processes, isolation=Isolation(**isolation) if isolation else None)
