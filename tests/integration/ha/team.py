"""Several replicas of the operator, each behind a journal of its own, and the lease that they compete for."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from modelcycle.cluster.kinds import LEASE, NAMESPACE
from tests.integration.ha.journal import Entry, Journal, journalled
from tests.support.lab.kube import new_session
from tests.support.lab.lab import Lab
from tests.support.lab.nursery import Nursery
from tests.support.lab.operators import LEASE_NAME, Operator, write_endpoints, write_kubeconfig

_STARTED = re.compile(r"^(\S+) started, serving")
LOOK_SECONDS = 0.05


@dataclass
class Replica:
    name: str
    operator: Operator
    journal: Journal = field(default_factory=Journal)

    @property
    def identities(self) -> list[str]:
        """Of all its lives, as in the Lease."""
        return [found.group(1) for line in self.operator.said() if (found := _STARTED.search(line["message"]))]

    def said(self, text: str) -> int:
        """How often its log has this text."""
        return sum(text in line["message"] for line in self.operator.said())

    async def end(self, number: signal.Signals) -> None:
        """Send a signal that ends it, and wait for that."""
        self.operator.signal(number)
        async with asyncio.timeout(30):
            while self.operator.lives():  # noqa: ASYNC110 (the kernel sets no event of ours)
                await asyncio.sleep(0.01)


@dataclass
class Team:
    lab: Lab
    namespace: str
    replicas: Sequence[Replica]

    async def holder(self) -> Replica | None:
        """The replica that the Lease names."""
        lease = await self.lab.kube.get(LEASE, self.namespace, LEASE_NAME)
        identity = ((lease or {}).get("spec") or {}).get("holderIdentity")
        # A Lease that was given back has an empty one.
        return next((one for one in self.replicas if identity and identity in one.identities[-1:]), None)

    async def transitions(self) -> int:
        """How often the Lease went from one to another."""
        lease = await self.lab.kube.get(LEASE, self.namespace, LEASE_NAME)
        return int(((lease or {}).get("spec") or {}).get("leaseTransitions") or 0)

    async def leader(self, other_than: Sequence[Replica] = (), seconds: float = 300.0) -> Replica:
        """The replica that holds the Lease, as soon as it is none of these."""
        async with asyncio.timeout(seconds):
            while True:
                holder = await self.holder()
                if holder is not None and holder not in other_than:
                    return holder
                await asyncio.sleep(LOOK_SECONDS)

    async def until_ready(self) -> None:
        """All replicas have filled their caches, so that one of them leads and the others are warm."""
        async with asyncio.timeout(300):
            for one in self.replicas:
                while await self._status(one) != 200:  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_SECONDS)

    async def _status(self, one: Replica) -> int:
        port = one.operator.port()
        if port is None:
            return 0
        async with self.lab.session.get(f"http://127.0.0.1:{port}/readyz") as answer:
            return answer.status

    def writes(self) -> list[Entry]:
        """Of all replicas, in the order of their arrival."""
        return sorted((entry for one in self.replicas for entry in one.journal.writes()), key=lambda entry: entry.at)

    async def quiet(self, seconds: float = 2.0, within: float = 300.0) -> None:
        """Until nobody has written anything for so many seconds."""
        async with asyncio.timeout(within):
            while any(one.journal.writes(time.monotonic() - seconds) for one in self.replicas):  # noqa: ASYNC110
                await asyncio.sleep(0.2)


@asynccontextmanager
async def team(lab: Lab, namespace: str, served: Sequence[str], names: Sequence[str]) -> AsyncIterator[Team]:
    """So many replicas, started; those that are left are killed at the end."""
    await lab.kube.create({"apiVersion": "v1", "kind": NAMESPACE.name, "metadata": {"name": namespace}})
    async with AsyncExitStack() as stack:
        replicas = [await replica(lab, stack, lab.nursery, namespace, served, name) for name in names]
        for one in replicas:
            await one.operator.start()
        yield Team(lab, namespace, replicas)


async def replica(
    lab: Lab,
    stack: AsyncExitStack,
    nursery: Nursery,
    namespace: str,
    served: Sequence[str],
    name: str,
    mlflow: str | None = None,
) -> Replica:
    """One that is not started yet; ``stack`` kills it.

    ``mlflow``: where it finds MLflow, instead of behind its journal. The address gets into what it makes.
    """
    folder = lab.folder / f"{namespace}-{name}"
    folder.mkdir()
    journal = Journal()
    session = await stack.enter_async_context(new_session(lab.kube.credentials))
    server = await stack.enter_async_context(journalled("kube", lab.kube.credentials.server, journal, session))
    if mlflow is None:
        mlflow = await stack.enter_async_context(journalled("mlflow", lab.mlflow, journal, session))
    operator = Operator(
        namespace=namespace,
        kubeconfig=write_kubeconfig(folder / "kubeconfig", server, lab.kube),
        endpoints=write_endpoints(folder / "endpoints.yaml", mlflow, lab.prometheus.url),
        log=folder / "operator.log",
        nursery=nursery,
        kube=lab.kube,
        served=",".join(served),
    )
    stack.callback(operator.kill)
    return Replica(name, operator, journal)


class Lateness:
    """How late the event loop of the test has been: what the machine took, no replica can be blamed for."""

    TICK_SECONDS = 0.1

    def __init__(self) -> None:
        self.total = 0.0

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(self.TICK_SECONDS)
            self.total += max(0.0, time.monotonic() - before - self.TICK_SECONDS)


async def first(look: Callable[[], float | None], what: str, seconds: float) -> float:
    """The first answer that is not None."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)
    return found
