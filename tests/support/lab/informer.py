"""What is in the cluster, namespace by namespace, kept by one watch a kind for all tests that run side by side."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from modelcycle.cluster.kinds import CHILDREN, OURS, SECRET, Kind
from tests.support.lab.kube import Kube, KubeError, Manifest

WATCHED = (*OURS, *CHILDREN, SECRET)
LOOK_SECONDS = 0.5
RELIST_SECONDS = 0.2
AWAY = (404, 410, 429, 503)  # for a moment, where a CRD has just been replaced
T = TypeVar("T")
Listener = Callable[[Kind, str, Manifest], None]


class Informer:
    """``born`` remembers the uids of everything that ever was, so that what was made twice is seen.

    ``failures``: of listeners and of watches; whoever waits gets them.
    """

    def __init__(self, kube: Kube) -> None:
        self.kube = kube
        self.listeners: list[Listener] = []
        self.failures: list[BaseException] = []
        self._objects: dict[str, dict[tuple[str, str], Manifest]] = defaultdict(dict)
        self._born: dict[str, dict[tuple[str, str], set[str]]] = defaultdict(lambda: defaultdict(set))
        self._changed: dict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def find(self, namespace: str, kind: Kind, name: str) -> Manifest | None:
        return self._objects[namespace].get((kind.name, name))

    def all(self, namespace: str, kind: Kind) -> Sequence[Manifest]:
        return [one for (of, _), one in self._objects[namespace].items() if of == kind.name]

    def born(self, namespace: str) -> dict[tuple[str, str], set[str]]:
        return self._born[namespace]

    async def until(self, namespace: str, condition: Callable[[], T], what: str, seconds: float = 60.0) -> T:
        """The first result of ``condition`` that is true; looked at after each change in the namespace."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not (result := condition()):
            for failure in self.failures:
                raise AssertionError(f"a stand-in failed: {failure!r}")
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(f"not within {seconds:.0f} s: {what}")
            changed = self._changed[namespace]
            try:
                await asyncio.wait_for(changed.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue
        return result

    def ended(self, task: asyncio.Task[None]) -> None:
        """A watch has."""
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failures.append(error)

    async def run(self, kind: Kind, ready: asyncio.Event) -> None:
        """Follow one kind for ever."""
        while True:
            try:
                listing = await self.kube.list(kind)
                self._catch_up(kind, listing["items"])
                ready.set()
                await self._watch(kind, listing["metadata"]["resourceVersion"])
            except KubeError as error:
                if error.status not in AWAY:
                    raise
            await asyncio.sleep(RELIST_SECONDS)

    async def _watch(self, kind: Kind, since: str) -> None:
        """Until the server can't go on from there (410), as after a change of the CRD."""
        while True:
            async for event in self.kube.watch(kind, since):
                if event["type"] == "ERROR":
                    return
                since = event["object"]["metadata"]["resourceVersion"]
                self._take(kind, event["type"], event["object"])

    def _catch_up(self, kind: Kind, items: Sequence[Manifest]) -> None:
        there = {(item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
        gone = [
            raw
            for namespace, objects in list(self._objects.items())
            for (of, name), raw in list(objects.items())
            if of == kind.name and (namespace, name) not in there
        ]
        for raw in gone:
            self._take(kind, "DELETED", raw)
        for item in items:
            self._take(kind, "ADDED", item | {"kind": kind.name, "apiVersion": kind.api_version})

    def _take(self, kind: Kind, type_: str, raw: Manifest) -> None:
        metadata = raw["metadata"]
        namespace, key = metadata["namespace"], (kind.name, metadata["name"])
        if type_ == "DELETED":
            self._objects[namespace].pop(key, None)
        else:
            self._objects[namespace][key] = raw
            self._born[namespace][key].add(metadata["uid"])
        for listener in self.listeners:
            listener(kind, type_, raw)
        # A fresh one for the next change: whoever waits for this one is woken.
        self._changed.pop(namespace, asyncio.Event()).set()


@asynccontextmanager
async def informer(kube: Kube) -> AsyncIterator[Informer]:
    """An informer that knows everything that was there when the block begins."""
    informer = Informer(kube)
    ready = [asyncio.Event() for _ in WATCHED]
    tasks = [asyncio.create_task(informer.run(kind, event)) for kind, event in zip(WATCHED, ready, strict=True)]
    for task in tasks:
        task.add_done_callback(informer.ended)
    try:
        listed = asyncio.create_task(_all_set(ready))
        await asyncio.wait([listed, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
        yield informer
    finally:
        await end(tasks)


async def _all_set(events: Sequence[asyncio.Event]) -> None:
    for event in events:
        await event.wait()


async def end(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks; raises what any of them failed with."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
