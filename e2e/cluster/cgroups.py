"""The cluster's folders in the cgroup hierarchies (one on version 2, several on version 1)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.cluster.errors import MachineError

_ROOT = Path("/sys/fs/cgroup")
_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")
_REMOVE_SECONDS = 60.0


def root_name(name: str) -> str:
    """The folder's name, which is also kubelet's cgroupRoot."""
    return f"modelcycle-{name}"


def hierarchies(root: Path = _ROOT) -> list[Path]:
    """The mounted hierarchies: the root itself on version 2, its real children on version 1."""
    if (root / "cgroup.controllers").exists():
        return [root]
    if not root.is_dir():
        return []
    return sorted(child for child in root.iterdir() if not child.is_symlink() and (child / "cgroup.procs").exists())


def folders(name: str, root: Path = _ROOT) -> list[Path]:
    return [hierarchy / root_name(name) for hierarchy in hierarchies(root)]


def make(name: str) -> list[Path]:
    """Make the cluster's folder in each hierarchy; returns the leaves that its own processes join."""
    leaves = []
    for folder in folders(name):
        if _is_version_2(folder.parent):
            _delegate(folder.parent)
        for one in (folder, folder / "system"):
            one.mkdir(exist_ok=True)
            _copy_cpuset(one)
        if _is_version_2(folder.parent):
            _delegate(folder)
        leaves.append(folder / "system")
    if not leaves:
        raise MachineError(f"no cgroup hierarchy is mounted below {_ROOT}", do="mount one, or use another provider")
    return leaves


def _is_version_2(hierarchy: Path) -> bool:
    return hierarchy == _ROOT


def _delegate(folder: Path) -> None:
    """Version 2: let the folder's children have the controllers that kubelet asks for."""
    there = (folder / "cgroup.controllers").read_text().split()
    wanted = " ".join(f"+{controller}" for controller in _CONTROLLERS if controller in there)
    (folder / "cgroup.subtree_control").write_text(wanted)


def _copy_cpuset(folder: Path) -> None:
    """Version 1 gives a new folder no CPUs and no memory nodes, and then no process may join it."""
    for setting in ("cpuset.cpus", "cpuset.mems"):
        target = folder / setting
        if target.exists() and not (folder / "cgroup.controllers").exists():
            target.write_text((folder.parent / setting).read_text())


def members(name: str) -> list[int]:
    """The processes below the cluster's folders, containers included."""
    found: set[int] = set()
    for folder in folders(name):
        for procs in folder.rglob("cgroup.procs"):
            try:
                found.update(int(line) for line in procs.read_text().split())
            except OSError:  # the folder went away meanwhile
                continue
    return sorted(found - {0})


def remove(name: str) -> None:
    """Remove the folders, innermost first; the kernel needs a moment after the last process ended."""
    deadline = time.monotonic() + _REMOVE_SECONDS
    for folder in folders(name):
        while folder.exists() and not _remove_tree(folder) and time.monotonic() < deadline:
            time.sleep(0.1)


def _remove_tree(folder: Path) -> bool:
    try:
        for inner in _innermost_first(folder):
            inner.rmdir()
    except FileNotFoundError:
        return not folder.exists()
    except OSError:
        return False
    return True


def _innermost_first(folder: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(folder, topdown=False):
        yield Path(path)
