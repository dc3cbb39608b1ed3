"""The fault proxy: between one operator and its API server or MLflow. It writes down each mutating request, and kills.

Unlike ``tests.support.proxy`` it passes streams on as they come, since the operator watches through it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

import aiohttp
from aiohttp import web
from yarl import URL

from tests.crash.signatures import Sent, signature

_HOP = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


class When(StrEnum):
    """``before``: it never arrives. ``after``: it is carried out, and nobody hears the answer."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Point:
    """The operator is killed at the ``occurrence``-th request (from 1) of this signature."""

    signature: str
    occurrence: int
    when: When

    def __str__(self) -> str:
        again = f" (time {self.occurrence})" if self.occurrence > 1 else ""
        return f"killed {self.when} {self.signature}{again}"


@dataclass(frozen=True, slots=True)
class Done:
    """A mutating request that was passed on, and the status of its answer."""

    signature: str
    occurrence: int
    sent: Sent
    status: int

    @property
    def committed(self) -> bool:
        return self.status < 300


@dataclass
class Ledger:
    """What one operator, in all its lives, sent through its proxies; and the point at which it is killed.

    ``refuse``: requests for which nobody is there.
    """

    namespace: str
    kill: Callable[[], None]
    point: Point | None = None
    refuse: Callable[[Sent], bool] = lambda _sent: False
    reached: bool = False
    done: list[Done] = field(default_factory=list)
    arrived: Counter[str] = field(default_factory=Counter)

    def arrive(self, sent: Sent) -> tuple[str | None, When | None]:
        """The request's signature, and whether the operator dies of it."""
        text = signature(sent, self.namespace)
        if text is None:
            return None, None
        self.arrived[text] += 1
        point = self.point
        if point is None or self.reached or (point.signature, point.occurrence) != (text, self.arrived[text]):
            return text, None
        self.reached = True
        return text, point.when


@dataclass(frozen=True)
class FaultProxy:
    side: str
    target: str
    ledger: Ledger
    session: aiohttp.ClientSession

    async def handle(self, request: web.Request) -> web.StreamResponse:
        sent = Sent(self.side, request.method, request.path, await request.read())
        if self.ledger.refuse(sent):
            return _hang_up(request)
        text, when = self.ledger.arrive(sent)
        occurrence = self.ledger.arrived[text] if text else 0
        if when is When.BEFORE:
            self.ledger.kill()
            return _hang_up(request)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = URL(f"{self.target}{request.raw_path}", encoded=True)
        async with self.session.request(
            request.method, url, headers=headers, data=sent.body or None, allow_redirects=False
        ) as answer:
            whole = await answer.read() if text is not None else None
            if text is not None:
                self.ledger.done.append(Done(text, occurrence, sent, answer.status))
            if when is When.AFTER:
                self.ledger.kill()
                return _hang_up(request)
            return await _pass_on(request, answer, whole)


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse, whole: bytes | None) -> web.StreamResponse:
    """As it comes, unless the ``whole`` body was read already."""
    response = web.StreamResponse(status=answer.status)
    for name in ("Content-Type", "Retry-After"):
        if name in answer.headers:
            response.headers[name] = answer.headers[name]
    # The operator may be dead by now, or have closed a watch.
    with suppress(ConnectionError, aiohttp.ClientError):
        await response.prepare(request)
        if whole is not None:
            await response.write(whole)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    return response


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


@asynccontextmanager
async def serve(proxy: FaultProxy) -> AsyncIterator[str]:
    """Serve on a free port of the loopback; gives the URL."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    async with AsyncExitStack() as stack:
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
