from __future__ import annotations

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from modelcycle.edge.http import serve
from modelcycle.runtime.metrics import Metrics


def well() -> dict[str, str | None]:
    return {"event-loop": None, "watches": None}


def ill() -> dict[str, str | None]:
    return {"event-loop": None, "watches": "dead: Job"}


def metrics() -> CollectorRegistry:
    own = Metrics()
    own.leader.set(1)
    return own.registry


async def get(path: str) -> tuple[int, str]:
    async with (
        serve(0, well, ill, metrics) as port,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        pytest.param("/livez", 200, "[+] event-loop\n[+] watches\n", id="well"),
        pytest.param("/readyz", 503, "[+] event-loop\n[-] watches: dead: Job\n", id="ill, and why"),
    ],
)
async def test_probes(path: str, status: int, text: str) -> None:
    assert await get(path) == (status, text)


async def test_metrics() -> None:
    status, text = await get("/metrics")
    assert status == 200
    assert "modelcycle_leader 1.0" in text
