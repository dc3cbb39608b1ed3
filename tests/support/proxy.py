"""An HTTP proxy that counts what passes and does to answers what networks and servers do to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import aiohttp
from aiohttp import web
from yarl import URL


class Fault(StrEnum):
    """What becomes of a request. The first two carry it out and lose the answer."""

    CUT = "cut"
    SILENT = "silent"
    ERROR_500 = "500"
    BUSY_503 = "503"
    HTML = "html"
    FOREIGN_JSON = "foreign json"
    BROKEN_JSON = "broken json"
    HUGE = "huge"
    REDIRECT = "redirect"
    GONE = "gone"


@dataclass
class FaultyProxy:
    """``fault(method, path)`` decides for each request; ``calls`` has every ``"METHOD path"`` that arrived."""

    target: str
    fault: Callable[[str, str], Fault | None] = field(default=lambda _method, _path: None)
    calls: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    def fail(self, fault: Fault, path_end: str = "") -> None:
        """From now on ``fault`` for all requests whose path ends so."""
        self.fault = lambda _method, path: fault if path.endswith(path_end) else None

    def heal(self) -> None:
        self.fault = lambda _method, _path: None

    def api_calls(self) -> list[str]:
        """What was asked for since the last time, without the common beginning."""
        calls = [call.replace("/api/2.0/mlflow/", "").replace("/api/2.0/", "") for call in self.calls]
        self.calls.clear()
        return calls


@asynccontextmanager
async def faulty_proxy(target: str) -> AsyncIterator[FaultyProxy]:
    """A proxy before ``target`` on a free port of the loopback."""
    proxy = FaultyProxy(target)
    # A connection that was kept may be closed by the target at the moment at which it is used again.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:

        async def handle(request: web.Request) -> web.StreamResponse:
            return await _handle(proxy, session, request)

        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()


async def _handle(proxy: FaultyProxy, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
    proxy.calls.append(f"{request.method} {request.path}")
    proxy.headers.append(dict(request.headers))
    fault = proxy.fault(request.method, request.path)
    if fault in (None, Fault.CUT, Fault.SILENT):
        answer = await _forwarded(proxy.target, session, request)
        if fault is Fault.SILENT:
            await asyncio.sleep(3600)
        if fault is Fault.CUT and request.transport is not None:
            request.transport.close()
        return answer
    return _spoilt(fault)


async def _forwarded(target: str, session: aiohttp.ClientSession, request: web.Request) -> web.Response:
    kept = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "content-length")}
    url = f"{target}{request.raw_path}"
    async with session.request(
        request.method, URL(url, encoded=True), headers=kept, data=await request.read()
    ) as answer:
        return web.Response(
            status=answer.status,
            body=await answer.read(),
            headers={"Content-Type": answer.headers.get("Content-Type", "")},
        )


def _spoilt(fault: Fault | None) -> web.Response:
    match fault:
        case Fault.ERROR_500:
            return web.json_response({"error_code": "INTERNAL_ERROR", "message": "the disk is full"}, status=500)
        case Fault.GONE:
            return web.json_response({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"}, status=404)
        case Fault.BUSY_503:
            return web.Response(status=503, text="no healthy upstream")
        case Fault.HTML:
            return web.Response(text="<html>please log in</html>", content_type="text/html")
        case Fault.FOREIGN_JSON:
            return web.json_response({"hello": "from a proxy"})
        case Fault.BROKEN_JSON:
            return web.Response(text='{"runs": [', content_type="application/json")
        case Fault.HUGE:
            return web.Response(body=b'{"runs": "' + b"x" * (9 << 20) + b'"}', content_type="application/json")
        case _:
            return web.Response(status=302, headers={"Location": "http://elsewhere.example/login"})
