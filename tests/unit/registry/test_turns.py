from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from modelcycle import outside
from modelcycle.outside import CONNECTIONS, HttpEndpoint
from modelcycle.settings import MlflowEndpoint

TAKES, PATIENCE = 0.1, 2.0


async def test_who_waits_for_a_connection_does_not_wait_for_an_answer_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slow(_: web.Request) -> web.Response:
        await asyncio.sleep(TAKES)
        return web.Response(text="{}")

    application = web.Application()
    application.router.add_get("/{path:.*}", slow)
    runner = web.AppRunner(application)
    await runner.setup()
    monkeypatch.setattr(outside, "ANSWER_SECONDS", PATIENCE)
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        endpoint = HttpEndpoint(MlflowEndpoint(name="default", url=url), "MLflow", 1000)
        many = int(1.5 * CONNECTIONS * PATIENCE / TAKES)
        answers = await asyncio.gather(*(endpoint.request("GET", "a") for _ in range(many)))
        await endpoint.close()
    finally:
        await runner.cleanup()
    assert [answer.status for answer in answers] == [200] * many
