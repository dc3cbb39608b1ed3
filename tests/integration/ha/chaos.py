"""What befalls the leader, and how soon another one works."""

from __future__ import annotations

import asyncio
import itertools
import platform
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelcycle.cluster.kinds import MODEL_TRAINING
from tests.crash.life import IMAGE
from tests.crash.signatures import Sent
from tests.integration.ha.journal import Entry
from tests.integration.ha.team import Lateness, Replica, Team, first

HARD_SECONDS, SOFT_SECONDS = 20.0, 5.0  # the promise: after a kill or a freeze, after SIGTERM
MADE_LATE = 3  # this test, the API server, and the replica: what delays one of them delays each, one after the other
RENEW_SECONDS = 10.0  # after so long without a renewal a leader starts no write
GIVE_UP_SECONDS = 300.0
EPOLL = {"x86_64": {"232", "281"}, "aarch64": {"22"}}  # epoll_wait and epoll_pwait
Say = Callable[[str], None]


@dataclass
class Chaos:
    """``say`` hears of each takeover. Where a limit was missed, ``missed`` has a line."""

    team: Team
    lateness: Lateness
    say: Say
    missed: list[str] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def kill(self, leader: Replica, but: tuple[Replica, ...] = ()) -> None:
        """SIGKILL; another one works; it is started again."""
        leader.operator.signal(signal.SIGKILL)
        await self._taken_over(leader, "SIGKILL", time.monotonic(), HARD_SECONDS, but)
        await leader.end(signal.SIGKILL)
        await leader.operator.start()

    async def terminate(self, leader: Replica) -> None:
        """SIGTERM; another one works; it is started again."""
        leader.operator.signal(signal.SIGTERM)
        await self._taken_over(leader, "SIGTERM", time.monotonic(), SOFT_SECONDS)
        await leader.end(signal.SIGTERM)
        await leader.operator.start()

    async def freeze(self, leader: Replica) -> float:
        """SIGSTOP in the midst of an effect, between a search and what is to be made because nothing was found.

        Not while it computes: what it has handed to its event loop by then leaves as soon as it wakes, as does what is
        in the kernel's buffers. Nobody can call that back. Gives the time at which it was frozen.
        """
        async with asyncio.timeout(GIVE_UP_SECONDS):
            while True:
                leader.journal.set_trap(is_search, lambda: leader.operator.signal(signal.SIGSTOP))
                await leader.journal.sprung.wait()
                if await stopped_while_it_waited(leader.operator.pid):
                    return time.monotonic()
                leader.operator.signal(signal.SIGCONT)

    async def freeze_until_another_works(self, leader: Replica) -> float:
        frozen = await self.freeze(leader)
        await self._taken_over(leader, "SIGSTOP", frozen, HARD_SECONDS)
        return frozen

    async def wake(self, replica: Replica, frozen: float) -> list[Entry]:
        """SIGCONT; what it then begins to write, until it knows that it doesn't lead: nothing."""
        knew = replica.said("no longer holds the lease")
        woken = time.monotonic()
        self.say(f"{replica.name} wakes after {woken - frozen:.0f} s")
        replica.operator.signal(signal.SIGCONT)
        await first(
            lambda: 0.0 if replica.said("no longer holds the lease") > knew else None,
            f"{replica.name} knows that it does not lead",
            GIVE_UP_SECONDS,
        )
        since = [one for one in replica.journal.entries if one.at >= woken]
        return [one for one in since if not one.is_of_lease or one.committed]

    async def wake_in_time(self, replica: Replica, frozen: float, pulse: str) -> None:
        """SIGCONT before the Lease is over: what was refused meanwhile is taken up by whoever leads now, at once."""
        woken = time.monotonic()
        replica.operator.signal(signal.SIGCONT)
        seconds = await self.answered(pulse, list(self.team.replicas)) - woken
        leader = await self.team.leader()
        self.say(
            f"{replica.name} wakes after {woken - frozen:.1f} s; {leader.name} leads and works after {seconds:.1f} s"
        )

    async def pulse(self) -> str:
        """A resource that somebody makes now; gives its name. Whoever leads says in its status that it is suspended."""
        name = f"pulse-{next(self._numbers)}"
        spec = {"image": IMAGE, "suspend": True, "register": {"model": f"{self.team.namespace}.pulse"}}
        metadata = {"namespace": self.team.namespace, "name": name}
        await self.team.lab.kube.create(
            {"apiVersion": MODEL_TRAINING.api_version, "kind": "ModelTraining", "metadata": metadata, "spec": spec}
        )
        return name

    async def answered(self, pulse: str, by: list[Replica]) -> float:
        """When the first of these replicas wrote the status of this resource."""

        def written() -> float | None:
            times = [
                entry.at
                for one in by
                for entry in one.journal.writes()
                if entry.committed and entry.sent.path.endswith(f"/{pulse}/status")
            ]
            return min(times, default=None)

        return await first(written, f"the status of {pulse}", GIVE_UP_SECONDS)

    async def _taken_over(
        self, former: Replica, how: str, since: float, limit: float, but: tuple[Replica, ...] = ()
    ) -> None:
        late = self.lateness.total
        pulse = await self.pulse()
        others = [one for one in self.team.replicas if one is not former and one not in but]
        await self.answered(pulse, others)
        seconds = min(entry.at for one in others for entry in one.journal.writes(since) if entry.committed) - since
        late = self.lateness.total - late
        self.say(
            f"{how}: another one works after {seconds:.1f} s (limit {limit:.0f} s, the machine was {late:.1f} s late)"
        )
        if seconds > limit + MADE_LATE * late:
            self.missed.append(f"{how}: {seconds:.1f} s, and not {limit:.0f} s; the machine was {late:.1f} s late")


async def stopped_while_it_waited(pid: int) -> bool:
    """Whether a process that was sent SIGSTOP had nothing to do: it stands in the system call that waits for events."""
    process = Path(f"/proc/{pid}")
    while (process / "stat").read_text().rpartition(")")[2].split()[0] != "T":  # noqa: ASYNC110 (the kernel sets no event)
        await asyncio.sleep(0.001)
    return (process / "syscall").read_text().split()[0] in EPOLL[platform.machine()]


def is_search(sent: Sent) -> bool:
    return sent.side == "mlflow" and sent.path.endswith("runs/search")


def strangers(team: Team, late: float) -> list[str]:
    """Writes by who did not hold the Lease, or had not renewed it in time, when they arrived."""
    entries = [(entry, one) for one in team.replicas for entry in one.journal.entries]
    found: list[str] = []
    holder: Replica | None = None
    renewed = float("-inf")
    for entry, replica in sorted(entries, key=lambda each: each[0].at):
        if entry.is_of_lease or entry.sent.path.endswith("/leases"):
            if entry.committed:
                holder = replica if entry.sent.json["spec"]["holderIdentity"] else None
                renewed = entry.at
        elif replica is not holder:
            found.append(f"{replica.name}, which does not lead: {entry}")
        elif entry.at - renewed > RENEW_SECONDS + late:
            found.append(f"{replica.name}, {entry.at - renewed:.1f} s after it renewed the Lease: {entry}")
    return found
