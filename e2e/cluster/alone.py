"""A control plane alone: etcd, kube-apiserver and, when wanted, kube-controller-manager, for integration tests."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from e2e.cluster import binaries, control_plane, credentials, plan, readiness, record
from e2e.cluster.control_plane import CONTROLLER_MANAGER, Endpoints
from e2e.cluster.options import Options
from e2e.cluster.paths import ClusterPaths
from e2e.cluster.plan import Plan, Process
from e2e.cluster.processes import Identity, start_daemon
from e2e.cluster.readiness import Api
from e2e.progress import say

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"
"""The last thing that a new cluster gets, and that no pod can do without."""
_LOOPBACK = "127.0.0.1"
_READY_SECONDS = 300

_owners: dict[str, int] = {}
"""The writing ends of the pipes that keep this process's ephemeral clusters alive."""


def start(options: Options, paths: ClusterPaths, mark: str) -> record.Record:
    """Start it; nothing of an earlier one may be left."""
    bin_ = binaries.program("kube-apiserver").parent
    say(f"starting the control plane {options.name}")
    api, etcd, peer, manager = _free_ports(4)
    at = Endpoints(_LOOPBACK, api, etcd, peer)
    users = {"kube-controller-manager": CONTROLLER_MANAGER} if options.controllers else {}
    addresses = (_LOOPBACK, control_plane.FIRST_SERVICE_ADDRESS)
    credentials.make(paths, f"modelcycle-{options.name}", at.server, addresses, users)
    components = [
        control_plane.etcd(paths, bin_, at),
        control_plane.apiserver(paths, bin_, at, alone=not options.controllers),
    ]
    if options.controllers:
        components.append(control_plane.controller_manager(paths, bin_, at, port=manager))
    paths.logs.mkdir()
    plan.write(Plan(str(paths.root), [_tied(one) for one in components]), paths.plan)
    supervisor = _start(options, paths, mark)
    made = record.Record(at.server, supervisor, full=False, controllers=options.controllers)
    record.write(made, paths)
    return made


def settle(options: Options, paths: ClusterPaths, made: record.Record) -> None:
    """Wait until it can be used; returns at once when it can."""
    api = Api.of_admin(paths)

    def until(what: str, ready: Callable[[], bool]) -> None:
        readiness.wait(what, ready, paths, made.supervisor, seconds=_READY_SECONDS)

    until(f"kube-apiserver ready at {made.server}", api.is_ready)
    if made.controllers:
        until("kube-controller-manager ready", lambda: api.get(DEFAULT_ACCOUNT) is not None)


def let_go(name: str) -> None:
    """Close the pipe of an ephemeral cluster."""
    if name in _owners:
        os.close(_owners.pop(name))


def supervisor_command(paths: ClusterPaths) -> list[str]:
    return [sys.executable, "-m", "e2e.cluster.supervisor", str(paths.plan)]


def _start(options: Options, paths: ClusterPaths, mark: str) -> Identity:
    command = ["env", f"PYTHONPATH={REPOSITORY}", *supervisor_command(paths)]
    log = paths.log("supervisor")
    if not options.ephemeral:
        return start_daemon(command, log, mark)
    reading, _owners[options.name] = os.pipe()
    try:
        return start_daemon([*command, "--owner=3"], log, mark, pass_as_3=reading)
    finally:
        os.close(reading)


def _tied(process: Process) -> Process:
    """The process, made to end when the supervisor does."""
    return Process(process.name, ["/usr/bin/setpriv", "--pdeathsig", "KILL", *process.argv], process.waits_for)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now. All are held until the last is found, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((_LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]
