"""From the operator before the last change to this one and back, with resources in all stages: nobody notices.

``MODELCYCLE_HA=all`` (``make ha``): with 200 of them. ``MODELCYCLE_UPGRADE_FROM=<revision>``: from another one.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.cluster import Cluster
from modelcycle.cluster.kinds import NAMESPACE, OURS
from tests.integration.ha import snapshot
from tests.integration.ha.journal import Entry, Journal, journalled
from tests.integration.ha.previous import REPOSITORY, NoHistory, previous_revision, unpack
from tests.integration.ha.snapshot import Snapshot, changes
from tests.integration.ha.stages import STAGES
from tests.integration.ha.team import Replica, Team, replica
from tests.integration.ha.worlds import ALL, World, launch, until_fleet_is_in, world
from tests.support.lab.lab import Lab
from tests.support.lab.nursery import nursery

# Watches that are cut off in the middle leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

COPIES = 2 if ALL else 1  # of a world in each stage
SOME = ("first-version", "paused", "cycle-gate", "cycle-rollout")
AT_ONCE = 5
SETTLE_SECONDS = 5.0
TEAM = "upgrade"


@dataclass(frozen=True)
class Version:
    """An operator that can be started, and the CRDs that it comes with."""

    name: str
    replica: Replica
    crds: Path


@pytest.fixture
def previous(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The tree of the operator before the last change of it."""
    try:
        revision = previous_revision()
    except NoHistory as error:
        with capsys.disabled():
            print(f"\nupgrade: NOT TESTED, there is no previous operator here: {error}", flush=True)
        pytest.skip(f"there is no previous operator here: {error}")
    with capsys.disabled():
        print(f"\nupgrade: from {revision[:12]}", flush=True)
    folder = tmp_path / "previous"
    folder.mkdir()
    return unpack(revision, folder)


@pytest.mark.timeout(1800)
async def test_a_new_operator_and_back_nobody_notices(
    lab: Lab, api_server: Cluster, previous: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"upgrade: {time.monotonic() - started:5.1f} s: {text}", flush=True)

    stages = STAGES if ALL else SOME
    names = {f"up-{stage}-{copy}": stage for stage in stages for copy in range(COPIES)}
    async with AsyncExitStack() as stack:
        older = await stack.enter_async_context(nursery(previous / "operator"))
        await lab.kube.create({"apiVersion": "v1", "kind": NAMESPACE.name, "metadata": {"name": TEAM}})
        served = [TEAM, *names]
        registry = Journal()
        mlflow = await stack.enter_async_context(journalled("mlflow", lab.mlflow, registry, lab.session))
        old = Version("old", await replica(lab, stack, older, TEAM, served, "old", mlflow), previous / "crds")
        new = Version("new", await replica(lab, stack, lab.nursery, TEAM, served, "new", mlflow), REPOSITORY / "crds")
        team = Team(lab, TEAM, [old.replica, new.replica])
        apply(api_server, old)
        await old.replica.operator.start()
        worlds = {name: await world(lab, name) for name in names}
        await _reach(worlds, names, say)
        await team.quiet(SETTLE_SECONDS)
        everything = list(worlds.values())
        before = snapshot.of(lab, everything)
        ended = len(before.finished())
        say(f"{len(before.told)} resources in {len(stages)} stages, {ended} of them trainings that have ended")
        for former, version in ((old, new), (new, old), (old, new)) if ALL else ((old, new), (new, old)):
            began = time.monotonic()
            await _switch(api_server, team, former, version)
            written = [*version.replica.journal.writes(began), *registry.writes(began)]
            after = snapshot.of(lab, everything)
            say(f"{former.name} -> {version.name}: {len(written)} writes of the {version.name} one")
            unwanted = [*not_wanted(before, after, written)]
            assert not unwanted, f"{former.name} -> {version.name}:\n" + "\n".join(unwanted)
            for line in (*changes(before.addresses, after.addresses), *changes(before.told, after.told)):
                say(f"    {line}")
            before = after
        await asyncio.gather(*(STAGES[stage].leave(worlds[name]) for name, stage in names.items()))
        await team.quiet(SETTLE_SECONDS)
        broken = [
            line for name, stage in names.items() for line in await _ended_badly(worlds[name], STAGES[stage].versions)
        ]
        assert not broken, "\n".join(broken)


def apply(cluster: Cluster, version: Version) -> None:
    """The CRDs come first, as with ``helm upgrade``."""
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(version.crds))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", str(version.crds))


def not_wanted(before: Snapshot, after: Snapshot, written: list[Entry]) -> Iterator[str]:
    """What the change of the operator should have left alone."""
    yield from changes(before.kept, after.kept)
    ended = before.finished()
    yield from changes(
        {name: status for name, status in before.told.items() if name in ended},
        {name: status for name, status in after.told.items() if name in ended},
    )
    for entry in written:
        if not may_be_written(entry):
            yield f"written: {entry}"


def may_be_written(entry: Entry) -> bool:
    """A status, an event, or once more what a child shall be, which changes nothing where it is that."""
    path = entry.sent.path
    if entry.sent.side == "mlflow":
        return False
    told = path.endswith("/events") or any(f"/{kind.plural}/" in path and path.endswith("/status") for kind in OURS)
    return told or entry.sent.method == "PATCH"


async def _reach(worlds: dict[str, World], names: dict[str, str], say: Callable[[str], None]) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with places:
            await asyncio.gather(launch(worlds[name]), STAGES[names[name]].reach(worlds[name]))
            await until_fleet_is_in(worlds[name])
            say(f"{name} is there")

    await asyncio.gather(*(one(name) for name in names))


async def _switch(cluster: Cluster, team: Team, former: Version, version: Version) -> None:
    """End the one, start the other, let it look at everything twice."""
    await former.replica.end(signal.SIGTERM)
    apply(cluster, version)
    await version.replica.operator.start()
    async with asyncio.timeout(300):
        while not version.replica.operator.is_on_duty():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await team.quiet(SETTLE_SECONDS)
    version.replica.operator.resync()
    await team.quiet(SETTLE_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)


async def _ended_badly(here: World, versions: int) -> list[str]:
    """Where something was lost, or done twice."""
    made = [
        f"{here.namespace}: {kind} {name} was made {len(uids)} times"
        for (kind, name), uids in here.life.informer.born(here.namespace).items()
        if len(uids) > 1
    ]
    found = len(await here.life.registry.versions())
    return made + ([] if found == versions else [f"{here.namespace}: {found} versions, and not {versions}"])
