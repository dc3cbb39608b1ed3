"""The users of a benchmark: they create objects as fast as the API server takes them, and see what becomes of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from modelcycle.cluster.credentials import CredentialSource

Manifest = Mapping[str, Any]
CLIENTS = 16
USER_AGENT = "bench"


class Client:
    """Requests to one API server. Times are of ``time.monotonic``, in seconds."""

    def __init__(self, session: aiohttp.ClientSession, server: str, headers: Mapping[str, str]) -> None:
        self._session = session
        self._server = server
        self._headers = headers

    async def request(self, method: str, path: str, body: Manifest | None = None, type_: str = "json") -> Any:
        headers = {**self._headers, "Content-Type": f"application/{type_}"}
        content = None if body is None else orjson.dumps(body)
        async with self._session.request(method, self._server + path, data=content, headers=headers) as answer:
            text = await answer.read()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text.decode()[:500]}")
            return orjson.loads(text)

    async def create_all(self, path: str, manifests: Iterable[Manifest]) -> dict[str, float]:
        """By 16 clients at once; gives when each object's creation was sent, by its name."""
        waiting, sent = iter(manifests), dict[str, float]()

        async def create() -> None:
            for manifest in waiting:
                sent[manifest["metadata"]["name"]] = time.monotonic()
                await self.request("POST", path, manifest)

        await asyncio.gather(*(create() for _ in range(CLIENTS)))
        return sent

    async def watch(self, path: str, since: str) -> AsyncIterator[tuple[str, Manifest]]:
        """Types and objects of all events after the resourceVersion ``since``.

        The API server ends the watches of a custom resource whenever it takes up its definition anew, which it may do
        some seconds after it was made, and those of a client that reads too slowly: they go on from where they were.
        Raises Outdated when that is too old.
        """
        while True:
            address, rest = f"{self._server}{path}?watch=1&resourceVersion={since}", b""
            async with self._session.get(address, headers=self._headers, timeout=aiohttp.ClientTimeout()) as answer:
                answer.raise_for_status()
                async for chunk in answer.content.iter_any():
                    *lines, rest = (rest + chunk).split(b"\n")
                    for line in lines:
                        event = orjson.loads(line)
                        if event["type"] == "ERROR" and event["object"].get("code") == 410:
                            raise Outdated
                        if event["type"] == "ERROR":
                            raise RuntimeError(f"watch {path}: {event['object']}")
                        since = event["object"]["metadata"]["resourceVersion"]
                        yield event["type"], event["object"]


class Outdated(Exception):
    """What happened since is not known any more."""


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Client]:
    credentials = await CredentialSource(kubeconfig).load()
    headers = {"User-Agent": USER_AGENT}
    if credentials.authorization:
        headers["Authorization"] = credentials.authorization
    connector = aiohttp.TCPConnector(ssl=credentials.ssl_context(), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(session, credentials.server, headers)


@dataclass
class Seen:
    """When an object of each name was first seen, and when it was first seen ``done``."""

    first: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)


@asynccontextmanager
async def following(
    client: Client,
    path: str,
    name: Callable[[Manifest], str] = lambda raw: str(raw["metadata"]["name"]),
    done: Callable[[Manifest], bool] = lambda _: False,
) -> AsyncIterator[Seen]:
    """Follow all objects at ``path`` from now on, for as long as the block lasts; it ends if they can't be followed."""
    since = (await client.request("GET", f"{path}?limit=1"))["metadata"]["resourceVersion"]
    seen = Seen()

    def see(raw: Manifest) -> None:
        now, called = time.monotonic(), name(raw)
        seen.first.setdefault(called, now)
        if called not in seen.done and done(raw):
            seen.done[called] = now

    async def follow(since: str) -> None:
        while True:
            try:
                async for _, raw in client.watch(path, since):
                    see(raw)
            except Outdated:
                listed = await client.request("GET", path)
                since = listed["metadata"]["resourceVersion"]
                for raw in listed["items"]:
                    see(raw)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(follow(since))
        try:
            yield seen
        finally:
            task.cancel()


async def until(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Raises TimeoutError, with how far it came."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        await asyncio.sleep(0.02)
