from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from modelcycle.errors import Fenced
from modelcycle.registry.client import is_write
from modelcycle.registry.mlflow import MlflowRegistry
from modelcycle.registry.port import EnsureRun
from modelcycle.settings import MlflowEndpoint

EXPERIMENT = {"experiment": {"experiment_id": "1", "lifecycle_stage": "active"}}


class Fence:
    closed = False
    term = 1

    def check(self) -> None:
        if self.closed:
            raise Fenced("closed")


class Server:
    """An MLflow without runs; the lease is over as soon as somebody has searched."""

    def __init__(self, fence: Fence) -> None:
        self.fence = fence
        self.asked: list[str] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path.partition("/mlflow/")[2]
        self.asked.append(path)
        self.fence.closed = self.fence.closed or path == "runs/search"
        return web.Response(text=json.dumps(EXPERIMENT if "experiments" in path else {}))


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server(Fence())
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


async def test_an_effect_that_the_lease_does_not_outlast_writes_nothing(server: Server) -> None:
    registry = MlflowRegistry([MlflowEndpoint(name="default", url=server.url)], server.fence)
    effect = EnsureRun("default", "experiment", "run", "uid-1", ())
    for asked in (["experiments/get-by-name", "runs/search"], ["runs/search"]):
        server.asked.clear()
        with pytest.raises(Fenced):
            await registry.effects[EnsureRun](effect)
        assert server.asked == asked
    await registry.close()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("runs/create", True, id="makes something"),
        pytest.param("model-versions/set-tag", True, id="changes something"),
        pytest.param("runs/search", False, id="a search"),
        pytest.param("logged-models/search", False, id="another search"),
    ],
)
def test_is_write(path: str, expected: bool) -> None:
    assert is_write(path) is expected
