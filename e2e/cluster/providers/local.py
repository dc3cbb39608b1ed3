"""Clusters made of processes on this machine: a control plane alone, or a whole node in namespaces of its own."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import alone, binaries, cgroups, full, images, mounts, network, processes, record
from e2e.cluster.errors import ClusterError, MachineError
from e2e.cluster.leftovers import leftovers, mark
from e2e.cluster.locks import locked
from e2e.cluster.options import Options
from e2e.cluster.paths import ClusterPaths, cluster_paths
from e2e.cluster.providers.base import Status
from e2e.progress import step

_GONE_SECONDS = 60.0


@dataclass(frozen=True)
class Local:
    cluster: str
    name: str = "local"

    @property
    def paths(self) -> ClusterPaths:
        return cluster_paths(self.cluster)

    def up(self, options: Options) -> None:
        if options.ephemeral and not options.control_plane_only:
            raise ClusterError("only a control plane alone can be ephemeral")
        with locked(f"cluster-{self.cluster}"):
            running = self._running()
            if running:
                _refuse_other_kind(options, running)
                _settle(options, self.paths, running)
            else:
                self._start(options)

    def down(self) -> None:
        with locked(f"cluster-{self.cluster}"):
            self._remove()

    def status(self) -> Status:
        running = self._running()
        if running is None:
            there = tuple(leftovers(self.cluster))
            return Status(running=False, lines=("not running", *(f"left over: {one}" for one in there)))
        components = map(_describe, record.components(self.paths))
        lines = (f"running at {running.server}", f"kubeconfig {self.paths.kubeconfig}", *components)
        return Status(running=True, lines=lines)

    def load_image(self, archive: Path) -> None:
        running = self._running()
        if running is None or not running.full:
            raise ClusterError(f"{self.cluster} is not running here with a node", do="python -m e2e.cluster up")
        images.load(archive, running.supervisor)

    def kubeconfig(self) -> Path:
        if not self._running():
            raise ClusterError(f"no cluster {self.cluster} is running here", do="python -m e2e.cluster up")
        return self.paths.kubeconfig

    def kubectl(self) -> Path:
        return binaries.program("kubectl")

    def _running(self) -> record.Record | None:
        """The record of a cluster whose supervisor lives; that one starts components again by itself."""
        known = record.read(self.paths)
        return known if known and processes.is_alive(known.supervisor) else None

    def _start(self, options: Options) -> None:
        if leftovers(self.cluster):
            with step(f"removing what an earlier {self.cluster} left"):
                self._remove()
        self.paths.root.mkdir(mode=0o700, parents=True)
        start = alone.start if options.control_plane_only else full.start
        started = start(options, self.paths, mark(self.paths))
        try:
            _settle(options, self.paths, started)
        except ClusterError:
            processes.end(started.supervisor)  # its files stay, to be read
            raise

    def _remove(self) -> None:
        known = record.read(self.paths)
        if known:
            processes.end(known.supervisor)
        alone.let_go(self.cluster)
        self._end_stragglers()
        cgroups.remove(self.cluster)
        network.remove(self.cluster)
        mounts.remove_below(self.paths.root)
        _remove_folder(self.paths.root)
        remaining = leftovers(self.cluster)
        if remaining:
            problem = "could not be removed:\n  " + "\n  ".join(remaining)
            raise MachineError(problem, do="end what uses it, and run `down` again")

    def _end_stragglers(self) -> None:
        """What lives on after its supervisor was killed, or before it was written down."""
        pids = [*cgroups.members(self.cluster), *(one.pid for one in processes.marked(mark(self.paths)))]
        for process in filter(None, map(processes.identify, pids)):
            processes.end(process)


def _settle(options: Options, paths: ClusterPaths, started: record.Record) -> None:
    (full if started.full else alone).settle(options, paths, started)


def _describe(component: record.Component) -> str:
    times = f", {component.starts} starts" if component.starts > 1 else ""
    return f"{component.name}: {'running' if component.running else 'ended'}{times}"


def _refuse_other_kind(options: Options, running: record.Record) -> None:
    if running.full == options.control_plane_only:
        kind = "a full cluster" if running.full else "a control plane alone"
        raise ClusterError(f"{options.name} is running, and is {kind}", do="take it down first, or use another --name")


def _remove_folder(folder: Path) -> None:
    """A mount that its namespace's end is still taking away keeps a folder busy for a moment."""
    deadline = time.monotonic() + _GONE_SECONDS
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=time.monotonic() < deadline)
        if folder.exists():
            time.sleep(0.1)
    if os.path.lexists(folder):
        folder.unlink()
