"""A proxy that passes on what one replica asks for as it comes, and writes down when it arrived."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from tests.crash.signatures import Sent

_HOP = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_LEASES = "/leases/"
_PATIENCE = aiohttp.ClientTimeout(total=None)  # the replicas have their own


@dataclass(slots=True)
class Entry:
    """``at``: when it arrived, by the monotonic clock. ``status`` is None until there was an answer."""

    at: float
    sent: Sent
    status: int | None = None

    @property
    def committed(self) -> bool:
        return self.status is not None and self.status < 300

    @property
    def is_of_lease(self) -> bool:
        return _LEASES in self.sent.path

    def __str__(self) -> str:
        return f"{self.sent.method} {self.sent.side} {self.sent.path} -> {self.status}"


@dataclass
class Journal:
    """What one replica, in all its lives, asked for that changes something.

    ``spring`` is called when the first request comes that is ``bait``: before it is passed on, so that its answer finds
    the replica in whatever state that left it.
    """

    entries: list[Entry] = field(default_factory=list)
    bait: Callable[[Sent], bool] = lambda _sent: False
    spring: Callable[[], None] = lambda: None
    sprung: asyncio.Event = field(default_factory=asyncio.Event)

    def arrived(self, at: float, sent: Sent) -> Entry:
        if self.bait(sent):
            self.bait = lambda _sent: False
            self.spring()
            self.sprung.set()
        entry = Entry(at, sent)
        if changes_something(sent):
            self.entries.append(entry)
        return entry

    def set_trap(self, bait: Callable[[Sent], bool], spring: Callable[[], None]) -> None:
        self.sprung = asyncio.Event()
        self.bait, self.spring = bait, spring

    def writes(self, since: float = float("-inf")) -> list[Entry]:
        """Not those of the Lease."""
        return [one for one in self.entries if one.at >= since and not one.is_of_lease]


def changes_something(sent: Sent) -> bool:
    return sent.method != "GET" and not sent.path.endswith("search")


@asynccontextmanager
async def journalled(side: str, target: str, journal: Journal, session: aiohttp.ClientSession) -> AsyncIterator[str]:
    """A proxy before ``target`` on a free port of the loopback; gives its URL."""

    async def handle(request: web.Request) -> web.StreamResponse:
        at = time.monotonic()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        entry = journal.arrived(at, Sent(side, request.method, request.path, await request.read()))
        url = URL(f"{target}{request.raw_path}", encoded=True)
        async with session.request(
            request.method, url, headers=headers, data=entry.sent.body or None, allow_redirects=False, timeout=_PATIENCE
        ) as answer:
            entry.status = answer.status
            return await _pass_on(request, answer)

    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status)
    for name in ("Content-Type", "Retry-After"):
        if name in answer.headers:
            response.headers[name] = answer.headers[name]
    # The replica may be dead by now, or have closed a watch.
    with suppress(ConnectionError, aiohttp.ClientError):
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    return response
