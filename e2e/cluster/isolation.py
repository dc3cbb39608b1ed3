"""What a full cluster does first in its own mount namespace: put its own folders over the machine's."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from e2e.cluster.disk import MOUNT_OPTIONS
from e2e.cluster.plan import Isolation


def enter(isolation: Isolation) -> None:
    """Join the cluster's cgroups and hide /run and the folders that node components write to.

    The new /run is filled before it is moved into place, since what is bound into it may lie below the old one.
    """
    for cgroup in isolation.cgroups:
        (Path(cgroup) / "cgroup.procs").write_text("0")
    _mount("--make-rprivate", "/")
    _let_go_of_network_namespaces()
    if isolation.disk_image:
        _mount("-o", MOUNT_OPTIONS, isolation.disk_image, isolation.disk)
    _mount("-t", "tmpfs", "-o", "mode=755", "modelcycle-run", isolation.run)
    into_run = [pair for pair in isolation.binds if pair[1].startswith("/run/")]
    for outer, inner in into_run:
        _bind(outer, isolation.run + inner.removeprefix("/run"))
    elsewhere = [pair for pair in isolation.binds if pair not in into_run]
    staged = []
    for number, (outer, inner) in enumerate(elsewhere):
        stage = f"{isolation.run}/.stage/{number}"
        _bind(outer, stage)
        staged.append((f"/run/.stage/{number}", inner))
    _mount("--rbind", isolation.run, "/run")
    for stage, inner in staged:
        _mount("--bind", stage, inner)
    os.chdir("/")


def _let_go_of_network_namespaces() -> None:
    """This namespace began as a copy, in which other clusters' networks would live on after their end."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split()
        if kind == "nsfs":
            subprocess.run(["umount", "--lazy", target], check=True)


def _bind(outer: str, inner: str) -> None:
    target = Path(inner)
    if Path(outer).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount("--bind", outer, inner)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
