"""Runs the components of one cluster: starts each when what it needs answers, and starts it again when it ends.

In a full cluster this is PID 1 of the cluster's PID namespace: when it goes, everything goes. Otherwise the components
are tied to it by `setpriv --pdeathsig`. It imports all that it needs at the top, since its own source may be hidden by
the mounts that it makes.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from e2e.cluster import isolation
from e2e.cluster.paths import ClusterPaths
from e2e.cluster.plan import Plan, Process, read
from e2e.cluster.sockets import answers

_PAUSE_SECONDS = 0.05
_RESTART_SECONDS = 1.0


@dataclass
class _Running:
    process: Process
    pid: int = 0
    starts: int = 0
    last_exit: int | None = None
    not_before: float = 0.0


@dataclass
class Supervisor:
    plan: Plan
    owner: int | None = None
    """A pipe's reading end: its end of file says that the process which wanted this cluster is gone."""
    stopping: bool = False
    orphaned: bool = False
    paths: ClusterPaths = field(init=False)
    components: list[_Running] = field(init=False)

    def __post_init__(self) -> None:
        self.paths = ClusterPaths(Path(self.plan.root))
        self.components = [_Running(process) for process in self.plan.processes]
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run(self) -> None:
        while not self.stopping:
            changed = self._reap()
            changed = self._start_what_can() or changed
            if changed:
                self._record()
            open_volumes(self.plan.open_folder)
            self._pause()
        self._end_all()
        if self.orphaned:  # nobody is left who could call `down`
            shutil.rmtree(self.paths.root, ignore_errors=True)

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _pause(self) -> None:
        waiting = [self.owner] if self.owner is not None else []
        if select.select(waiting, [], [], _PAUSE_SECONDS)[0]:
            self.stopping = self.orphaned = True

    def _reap(self) -> bool:
        """Collect ended children, also those that others left to PID 1; true when a component was among them."""
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return changed
            if pid == 0:
                return changed
            for component in self.components:
                if component.pid == pid:
                    component.pid, component.last_exit = 0, os.waitstatus_to_exitcode(status)
                    component.not_before = time.monotonic() + _RESTART_SECONDS
                    changed = True
                    print(f"{component.process.name} ended with {component.last_exit}, starting it again", flush=True)

    def _start_what_can(self) -> bool:
        changed = False
        for component in self.components:
            due = component.pid == 0 and time.monotonic() >= component.not_before
            if due and all(answers(target) for target in component.process.waits_for):
                component.pid = self._spawn(component.process)
                component.starts += 1
                changed = True
        return changed

    def _spawn(self, process: Process) -> int:
        log = str(self.paths.log(process.name))
        appending = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        return os.posix_spawn(
            process.argv[0],
            list(process.argv),
            {**os.environ, **self.plan.environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, log, appending, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsigdef=[signal.SIGINT, signal.SIGPIPE, signal.SIGTERM],
        )

    def _record(self) -> None:
        content = {
            component.process.name: {"pid": component.pid, "starts": component.starts, "last_exit": component.last_exit}
            for component in self.components
        }
        partial = self.paths.processes.with_suffix(".partial")
        partial.write_text(json.dumps(content))
        partial.rename(self.paths.processes)

    def _end_all(self) -> None:
        """Without ceremony: nothing of a cluster outlives it."""
        for component in self.components:
            if component.pid:
                os.kill(component.pid, signal.SIGKILL)
                os.waitpid(component.pid, 0)


def open_volumes(folder: str) -> None:
    """Let every user write to new volumes.

    controller-manager's hostpath provisioner makes their folders for root only, and kubelet applies no fsGroup to host
    paths, so that a pod which does not run as root could not use its claim.
    """
    if folder and Path(folder).is_dir():
        for entry in os.scandir(folder):
            if entry.stat().st_mode & 0o777 != 0o777:
                Path(entry.path).chmod(0o777)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--owner", type=int)
    arguments = parser.parse_args()
    plan = read(arguments.plan)
    if plan.isolation:
        isolation.enter(plan.isolation)
    Supervisor(plan, arguments.owner).run()


if __name__ == "__main__":
    main()
