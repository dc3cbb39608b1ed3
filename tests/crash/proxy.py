"""The fault proxy: between one operator and its API server, its MLflow or its Prometheus.

It writes down each request that changes something, and does to requests, answers and watches what its plan says. Unlike
``tests.support.proxy`` it passes streams on as they come, since the operator watches through it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from tests.crash.answers import JSON_TYPE, Answer, as_of, instead, spoilt, told, version_of
from tests.crash.faults import HOLDING, INSTEAD, KILLS, Fault, Plan, fault_for
from tests.crash.signatures import Access, Named, Sent, named, watched

DELAY_SECONDS = 1.0
LOOK_SECONDS = 0.1
BACK = 6  # changes: so much older is a list that is out of date
_PATIENCE = aiohttp.ClientTimeout(total=None)  # whoever asks has one of their own
_HOP = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})


@dataclass(frozen=True, slots=True)
class Done:
    """A request that was passed on and changes something, and the status of its answer."""

    signature: str
    occurrence: int
    sent: Sent
    status: int

    @property
    def committed(self) -> bool:
        return self.status < 300


@dataclass(frozen=True, slots=True)
class Injected:
    """What befell which request."""

    fault: Fault
    of: Named
    occurrence: int


@dataclass
class Ledger:
    """What one operator, in all its lives, sent through its proxies, and what befalls it.

    ``refuse``: requests for which nobody is there. ``held``: how many requests and watches a fault holds up just now.
    ``log``: everything, and how often it had come by then. ``versions``: the resourceVersions of what watches told.
    """

    namespace: str
    kill: Callable[[], None]
    plan: Plan = ()
    refuse: Callable[[Sent], bool] = lambda _sent: False
    held: int = 0
    done: list[Done] = field(default_factory=list)
    arrived: Counter[Named] = field(default_factory=Counter)
    log: list[tuple[Named, int]] = field(default_factory=list)
    injected: list[Injected] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)

    def arrive(self, one: Named) -> Fault | None:
        """Count the request, or the watch's event; gives what befalls it."""
        self.arrived[one] += 1
        self.log.append((one, self.arrived[one]))
        fault = fault_for(self.plan, one, self.arrived[one])
        if fault is not None:
            self.injected.append(Injected(fault, one, self.arrived[one]))
        return fault

    @property
    def kills(self) -> int:
        return sum(one.fault in KILLS for one in self.injected)

    @contextmanager
    def holding(self, fault: Fault | None) -> Iterator[None]:
        self.held += fault in HOLDING
        try:
            yield
        finally:
            self.held -= fault in HOLDING


@dataclass(frozen=True)
class FaultProxy:
    side: str
    target: str
    ledger: Ledger
    session: aiohttp.ClientSession

    async def handle(self, request: web.Request) -> web.StreamResponse:
        agent = request.headers.get("User-Agent", "")
        sent = Sent(self.side, request.method, request.path, await request.read(), request.query_string, agent)
        if self.ledger.refuse(sent):
            return _hang_up(request)
        one = named(sent, self.ledger.namespace)
        fault = self.ledger.arrive(one) if one else None
        if fault in INSTEAD:
            return _response(instead(self.side, fault))
        if fault is Fault.KILL_BEFORE:
            self.ledger.kill()
            return _hang_up(request)
        with self.ledger.holding(fault):
            if fault is Fault.DELAYED:
                await asyncio.sleep(DELAY_SECONDS)
            return await self._passed(request, sent, one, None if fault is Fault.DELAYED else fault)

    async def _passed(
        self, request: web.Request, sent: Sent, one: Named | None, fault: Fault | None
    ) -> web.StreamResponse:
        async with self._asked(request, sent, fault) as answer:
            access = one.access if one is not None else None
            if fault is None and access is Access.WATCH and answer.status == 200:
                return await self._watched(request, answer)
            if fault is None and access is not Access.WRITE:
                return await _pass_on(request, answer)
            # A watch has no end.
            body = await answer.read() if access is not Access.WATCH else b""
            whole = Answer(answer.status, body, _headers(answer))
            if one is not None and access is Access.WRITE:
                self.ledger.done.append(Done(one.text, self.ledger.arrived[one], sent, answer.status))
        return await self._answered(request, whole, fault)

    async def _answered(self, request: web.Request, whole: Answer, fault: Fault | None) -> web.StreamResponse:
        match fault:
            case Fault.KILL_AFTER:
                self.ledger.kill()
                return _hang_up(request)
            case Fault.LOST:
                return _hang_up(request)
            case Fault.SILENT:
                await _until_gone(request)
                return _hang_up(request)
            case Fault.TRUNCATED if JSON_TYPE not in whole.headers.get("Content-Type", ""):
                return await _cut(request, whole)
        return _response(spoilt(fault, whole))

    @asynccontextmanager
    async def _asked(
        self, request: web.Request, sent: Sent, fault: Fault | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The server's answer. A list that is to be stale is asked about an older moment: the server has it still."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        path, _, query = request.raw_path.partition("?")
        query = as_of(query, self.ledger.versions, BACK) if fault is Fault.STALE else query
        url = URL(f"{self.target}{path}{'?' if query else ''}{query}", encoded=True)
        async with self.session.request(
            request.method, url, headers=headers, data=sent.body or None, allow_redirects=False, timeout=_PATIENCE
        ) as answer:
            yield answer

    async def _watched(self, request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response, plural = _begun(answer), request.path.rpartition("/")[2]
        rest = b""
        with suppress(ConnectionError, aiohttp.ClientError):  # the operator may be dead by now, or have closed it
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    fault = self._event(line, plural)
                    if fault is Fault.FROZEN:
                        with self.ledger.holding(fault):
                            await _until_gone(request)
                        return response
                    for each in told(line, fault):
                        await response.write(each + b"\n")
            await response.write_eof()
        return response

    def _event(self, line: bytes, plural: str) -> Fault | None:
        version = version_of(line)
        if version is None:
            return None
        self.ledger.versions.append(version)
        return self.ledger.arrive(watched(plural))


# --- answering -------------------------------------------------------------------------------------------------------
def _headers(answer: aiohttp.ClientResponse) -> dict[str, str]:
    return {name: answer.headers[name] for name in ("Content-Type", "Retry-After") if name in answer.headers}


def _response(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))


def _begun(answer: aiohttp.ClientResponse) -> web.StreamResponse:
    return web.StreamResponse(status=answer.status, headers=_headers(answer))


async def _pass_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """As it comes."""
    response = _begun(answer)
    # The operator may be dead by now.
    with suppress(ConnectionError, aiohttp.ClientError):
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    return response


async def _cut(request: web.Request, whole: Answer) -> web.StreamResponse:
    """A file of which half arrives before the connection breaks."""
    response = web.StreamResponse(status=whole.status, headers=dict(whole.headers))
    response.content_length = len(whole.body)
    with suppress(ConnectionError):
        await response.prepare(request)
        await response.write(whole.body[: len(whole.body) // 2])
        _hang_up(request)
    return response


def _hang_up(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _until_gone(request: web.Request) -> None:
    """Until whoever asked has given up, or is dead."""
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 (aiohttp tells nobody)
        await asyncio.sleep(LOOK_SECONDS)


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
