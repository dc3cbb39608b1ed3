"""What a server that is down, misconfigured or not MLflow at all looks like to whoever reads the message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from modelcycle.core.plan import Effect
from modelcycle.errors import ModelcycleError, NotFound, Refused, Unavailable, Unusable
from modelcycle.registry import port
from modelcycle.registry.mlflow import MlflowRegistry
from modelcycle.registry.port import ModelFact, ReadVersion
from modelcycle.runtime.fence import OpenFence
from modelcycle.runtime.ports import Adapter
from modelcycle.settings import MlflowEndpoint
from tests.contract.conftest import ENDPOINT, Api, Registry
from tests.support.processes import free_port
from tests.support.proxy import Fault, FaultyProxy

READ = ReadVersion(ENDPOINT, "shop.prices", "1")


async def failure_at(url: str, **more: Any) -> ModelcycleError:
    adapter = MlflowRegistry([MlflowEndpoint(name=ENDPOINT, url=url, **more)], OpenFence())
    try:
        with pytest.raises(ModelcycleError) as raised:
            await adapter.effects[ReadVersion](READ)
    finally:
        await adapter.close()
    return raised.value


async def test_a_server_that_does_not_know_its_name(mlflow_url: str) -> None:
    stranger = mlflow_url.replace("127.0.0.1", "localhost")
    async with aiohttp.ClientSession() as session, session.get(f"{stranger}/health") as health:
        assert health.status == 200, "which is why /health proves nothing"
    error = await failure_at(stranger)
    assert isinstance(error, Refused)
    assert f"--allowed-hosts lacks '{stranger.removeprefix('http://')}'" in str(error)


async def test_a_server_that_is_down() -> None:
    error = await failure_at(f"http://127.0.0.1:{free_port()}")
    assert isinstance(error, Unavailable)
    assert "MLflow endpoint 'default': GET api/2.0/mlflow/model-versions/get: ClientConnectorError" in str(error)


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        pytest.param(Fault.CUT, Unavailable, "ServerDisconnectedError", id="cut off"),
        pytest.param(Fault.ERROR_500, Unavailable, "500: the disk is full", id="500"),
        pytest.param(Fault.BUSY_503, Unavailable, "503: no healthy upstream", id="503"),
        pytest.param(Fault.HTML, Unavailable, "not an answer of MLflow: <html>", id="a login page"),
        pytest.param(Fault.FOREIGN_JSON, Unavailable, "not an answer of MLflow", id="JSON of somebody else"),
        pytest.param(Fault.BROKEN_JSON, Unavailable, "not an answer of MLflow", id="half an answer"),
        pytest.param(Fault.HUGE, Unavailable, "larger than 1048576 bytes", id="an endless answer"),
        pytest.param(Fault.REDIRECT, Refused, "redirected (302) to http://elsewhere.example/login", id="a redirect"),
    ],
)
async def test_answers_that_are_none(
    registry: Registry, proxy: FaultyProxy, fault: Fault, kind: type[ModelcycleError], said: str
) -> None:
    proxy.fail(fault)
    with pytest.raises(kind) as raised:
        await registry.carry_out(READ)
    assert said in str(raised.value)
    assert len(str(raised.value)) < 700
    assert len(proxy.api_calls()) <= 2, "aiohttp repeats a read that was cut off, and nothing else"


async def test_an_answer_that_never_comes(registry: Registry, proxy: FaultyProxy, impatient: None) -> None:
    proxy.fail(Fault.SILENT)
    with pytest.raises(Unavailable, match="no answer in time"):
        await registry.carry_out(READ)


async def test_a_server_that_comes_back_is_used_again(registry: Registry, proxy: FaultyProxy) -> None:
    for fault in (Fault.CUT, Fault.BUSY_503):
        proxy.fail(fault)
        with pytest.raises(Unavailable):
            await registry.carry_out(READ)
        proxy.heal()
        with pytest.raises(NotFound, match="not found"):
            await registry.carry_out(READ)


# --- what MLflow does not do itself: a server of three lines ----------------------------------------------------------
@asynccontextmanager
async def answering(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_the_token_is_read_again_for_each_request(tmp_path: Path) -> None:
    seen: list[str | None] = []

    async def handle(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"error_code": "UNAUTHENTICATED", "message": "who are you?"}, status=401)

    token = tmp_path / "token"
    async with answering(handle) as url:
        adapter = MlflowRegistry([MlflowEndpoint(name=ENDPOINT, url=url, token_file=str(token))], OpenFence())
        for text in ("first\n", "second\n"):
            token.write_text(text)
            with pytest.raises(Refused, match=r"401: who are you.*token_file") as raised:
                await adapter.effects[ReadVersion](READ)
            assert "first" not in str(raised.value)
        token.unlink()
        with pytest.raises(Unavailable, match="bearer token can't be read"):
            await adapter.effects[ReadVersion](READ)
        await adapter.close()
    assert seen == ["Bearer first", "Bearer second"]


async def test_it_is_what_the_runtime_expects() -> None:
    adapter: Adapter = MlflowRegistry([MlflowEndpoint(name=name, url="http://x") for name in ("a", "b")], OpenFence())
    await adapter.close()
    assert set(adapter.pollers) == {"a", "b"}
    assert adapter.facts == {ModelFact}
    assert set(adapter.effects) == {
        one for one in vars(port).values() if isinstance(one, type) and issubclass(one, Effect) and one is not Effect
    }


async def test_a_ca_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"ca_file .*nowhere.pem can't be used"):
        MlflowRegistry(
            [MlflowEndpoint(name=ENDPOINT, url="https://mlflow", ca_file=str(tmp_path / "nowhere.pem"))], OpenFence()
        )


async def test_files_that_lie_in_a_store_of_their_own(registry: Registry, api: Api, unique: str) -> None:
    await api.post("registered-models/create", name=unique)
    await api.post("model-versions/create", name=unique, source="s3://bucket/model")
    with pytest.raises(Unusable, match="--serve-artifacts") as raised:
        await registry.carry_out(ReadVersion(ENDPOINT, unique, "1"))
    assert raised.value.reason == "ArtifactsNotProxied"
