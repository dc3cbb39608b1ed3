"""Processes are recognised by more than their number, and a supervisor keeps its own alive."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.cluster import alone, plan, processes, readiness, record
from e2e.cluster.errors import StartError
from e2e.cluster.paths import ClusterPaths
from e2e.cluster.plan import Isolation, Plan, Process
from e2e.cluster.processes import Identity
from e2e.cluster.sockets import answers
from e2e.cluster.supervisor import open_volumes


@pytest.fixture
def paths(tmp_path: Path) -> ClusterPaths:
    paths = ClusterPaths(tmp_path / "cluster")
    paths.logs.mkdir(parents=True)
    return paths


@pytest.fixture
def supervise(paths: ClusterPaths) -> Iterator[Callable[..., Identity]]:
    """Starts a supervisor of shell scripts; ends it with the test."""
    started: list[Identity] = []

    def start(*components: Process, owner: int | None = None) -> Identity:
        plan.write(Plan(str(paths.root), components), paths.plan)
        command = ["env", f"PYTHONPATH={alone.REPOSITORY}", *alone.supervisor_command(paths)]
        command += ["--owner=3"] if owner is not None else []
        started.append(processes.start_daemon(command, paths.log("supervisor"), str(paths.root), pass_as_3=owner))
        return started[-1]

    yield start
    for process in started:
        processes.end(process)


def shell(name: str, script: str, *waits_for: str) -> Process:
    return Process(name, ["/usr/bin/setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", script], waits_for)


def until(true: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def test_a_number_that_was_given_away_again_is_another_process() -> None:
    me = processes.identify(os.getpid())
    assert me is not None
    assert processes.is_alive(me)
    assert not processes.is_alive(replace(me, start="another boot/1"))


def test_a_component_that_ends_is_started_again(paths: ClusterPaths, supervise: Callable[..., Identity]) -> None:
    supervise(shell("brief", "echo here; exit 7"), shell("lasting", "exec sleep 600"))
    until(lambda: {one.name: one.starts for one in record.components(paths)}.get("brief", 0) >= 2)
    states = {one.name: one for one in record.components(paths)}
    assert states["brief"].last_exit == 7
    assert states["lasting"].running
    # It is recorded as started before it says anything.
    until(lambda: paths.log("brief").read_text().startswith("here\nhere\n"))


def test_a_component_waits_for_what_it_needs(paths: ClusterPaths, supervise: Callable[..., Identity]) -> None:
    supervise(shell("patient", "exec sleep 600", str(paths.root / "socket")), shell("other", "exec sleep 600"))
    until(lambda: record.components(paths))
    assert {one.name: one.starts for one in record.components(paths)} == {"patient": 0, "other": 1}


def test_components_end_with_their_supervisor(paths: ClusterPaths, supervise: Callable[..., Identity]) -> None:
    supervisor = supervise(shell("lasting", "exec sleep 600"))
    until(lambda: len(list(processes.marked(str(paths.root)))) == 2)
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: not list(processes.marked(str(paths.root))))


def test_an_ephemeral_cluster_ends_with_its_owner(paths: ClusterPaths, supervise: Callable[..., Identity]) -> None:
    reading, writing = os.pipe()
    supervise(shell("lasting", "exec sleep 600"), owner=reading)
    os.close(reading)
    until(lambda: record.components(paths))
    os.close(writing)
    until(lambda: not list(processes.marked(str(paths.root))))
    assert not paths.root.exists()


def test_waiting_ends_early_when_a_component_keeps_ending(paths: ClusterPaths) -> None:
    paths.processes.write_text('{"etcd": {"pid": 0, "starts": 8, "last_exit": 2}}')
    paths.log("etcd").write_text("no space left on device\n")
    me = processes.identify(os.getpid())
    assert me is not None
    with pytest.raises(StartError, match=r"(?s)etcd ended 8 times, last with 2.*no space left on device"):
        readiness.wait("ready", lambda: False, paths, me, seconds=60)


def test_waiting_ends_early_without_a_supervisor(paths: ClusterPaths) -> None:
    with pytest.raises(StartError, match="supervisor ended"):
        readiness.wait("ready", lambda: False, paths, Identity(2**22 + 1, "never"), seconds=60)


def test_a_plan_survives_its_file(paths: ClusterPaths) -> None:
    isolation = Isolation("/x/run", (("/a", "/b"),), ("/sys/fs/cgroup/x",), "/x/disk.img", "/x/disk")
    whole = Plan("/x", (Process("a", ("b",), ("c",)),), {"PATH": "/bin"}, isolation, "/tmp/volumes")
    plan.write(whole, paths.plan)
    again = plan.read(paths.plan)
    assert again.isolation is not None
    assert [tuple(pair) for pair in again.isolation.binds] == [("/a", "/b")]
    assert [one.name for one in again.processes] == ["a"]
    assert (again.root, again.environment, again.open_folder) == (whole.root, whole.environment, whole.open_folder)


@pytest.mark.parametrize("content", ["", "{", None])
def test_a_half_written_record_is_no_cluster(paths: ClusterPaths, content: str | None) -> None:
    if content is not None:
        paths.record.write_text(content)
    assert record.read(paths) is None


def test_a_record_survives_its_file(paths: ClusterPaths) -> None:
    made = record.Record("https://x", Identity(1, "s"), full=True, controllers=True)
    record.write(made, paths)
    assert record.read(paths) == made


def test_volumes_are_open_to_every_user(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir(mode=0o750)
    open_volumes(str(tmp_path))
    open_volumes(str(tmp_path / "not-there-yet"))
    assert (tmp_path / "volume").stat().st_mode & 0o777 == 0o777


def test_nothing_answers_where_nobody_listens(tmp_path: Path) -> None:
    assert not answers(str(tmp_path / "socket"))
    assert not answers("127.0.0.1:1")
