"""The operator's own HTTP port: /livez, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

# Name of each check with what is wrong, or None.
Checks = Callable[[], Mapping[str, str | None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve(port: int, live: Checks, ready: Checks, metrics: Callable[[], CollectorRegistry]) -> AsyncIterator[int]:
    """Serve on ``port`` (0: any that is free) while the context lasts; gives the port."""
    application = web.Application()
    application.router.add_get("/livez", _checked(live))
    application.router.add_get("/readyz", _checked(ready))
    application.router.add_get("/metrics", _exposed(metrics))
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "0.0.0.0", port)  # noqa: S104 (a pod's port is for the kubelet and Prometheus)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _checked(checks: Checks) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        results = checks()
        lines = [f"[-] {name}: {wrong}" if wrong else f"[+] {name}" for name, wrong in results.items()]
        return web.Response(text="\n".join([*lines, ""]), status=503 if any(results.values()) else 200)

    return handle


def _exposed(metrics: Callable[[], CollectorRegistry]) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=generate_latest(metrics()), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return handle
