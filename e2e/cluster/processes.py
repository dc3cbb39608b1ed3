"""Processes that belong to a cluster: how to start, recognise and end them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# A plain login's PATH may lack the administrator's programs (nft, ip, runc).
SYSTEM_PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"
_PROC = Path("/proc")
_MARK = "MODELCYCLE_CLUSTER"
_END_SECONDS = 60.0


@dataclass(frozen=True)
class Identity:
    """A process id together with its start, so that a number that the kernel gave away again is not mistaken for it."""

    pid: int
    start: str


def identify(pid: int) -> Identity | None:
    """The identity of a living process (a zombie does not live)."""
    try:
        # The command's name, in parentheses, may hold spaces; state is the first field after it, the start the 20th.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Identity(pid, f"{boot}/{fields[19]}") if fields[0] != "Z" else None


def is_alive(process: Identity) -> bool:
    return identify(process.pid) == process


def start_daemon(argv: Sequence[str], log: Path, mark: str, *, pass_as_3: int | None = None) -> Identity:
    """Start a process in a session of its own that outlives this one, with one file descriptor handed down as number 3.

    Everything it starts carries `mark` in its environment, by which `marked` finds it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    if pass_as_3 is not None:
        actions.append((os.POSIX_SPAWN_DUP2, pass_as_3, 3))
    environment: Mapping[str, str] = os.environ | {_MARK: mark}
    pid = os.posix_spawnp(argv[0], list(argv), environment, file_actions=actions, setsid=True)
    return identify(pid) or Identity(pid, "gone")


def end(process: Identity) -> None:
    """Kill a process of a cluster, and wait until it has gone."""
    if is_alive(process):
        os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + _END_SECONDS
    while is_alive(process) and time.monotonic() < deadline:
        time.sleep(0.01)
    _reap(process.pid)


def marked(mark: str) -> Iterator[Identity]:
    """All living processes that were started under this mark, except for this one."""
    wanted = f"{_MARK}={mark}".encode()
    for folder in _PROC.iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile, or is another user's
            continue
        process = identify(int(folder.name)) if wanted in environment else None
        if process:
            yield process


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):  # it was started by an earlier command
        os.waitpid(pid, os.WNOHANG)
