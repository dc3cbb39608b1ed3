"""What is done once in MLflow, whoever asks and whatever becomes of answers; ``tests/contract`` has the real one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from benchmarks.scale.registry import Registry
from modelcycle.constants import TAG_KEY
from modelcycle.core.plan import Effect
from modelcycle.errors import Unavailable
from modelcycle.registry.mlflow import MlflowRegistry
from modelcycle.registry.port import ClaimModel, EnsureRun, MoveAlias, RegisterModel, RunInfo, SetAlias
from modelcycle.settings import MlflowEndpoint
from tests.support.proxy import Fault, FaultyProxy, faulty_proxy

MODEL = "quant.hedge"


class Leader:
    """A fence that is open."""

    term = 1

    def check(self) -> None:
        return


class Replica:
    """An operator's adapter; another replica remembers nothing of what this one did."""

    def __init__(self, url: str) -> None:
        self.adapter = MlflowRegistry([MlflowEndpoint(name="default", url=url)], Leader())

    async def carry_out(self, effect: Effect) -> Any:
        return await self.adapter.effects[type(effect)](effect)

    async def run(self, uid: str) -> RunInfo:
        made = await self.carry_out(EnsureRun("default", "quant", f"run of {uid}", uid, ()))
        assert isinstance(made, RunInfo)
        return made

    async def register(self, uid: str) -> str:
        """The number of the version of this training's key."""
        run = await self.run(uid)
        effect = RegisterModel("default", run.run_id, MODEL, ((TAG_KEY, f"key of {uid}"),))
        return str((await self.carry_out(effect)).version)


@pytest.fixture
async def mlflow() -> AsyncIterator[tuple[Registry, str]]:
    registry, application = Registry(), web.Application()
    application.router.add_route("*", "/{path:.*}", registry.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield registry, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.fixture
def server(mlflow: tuple[Registry, str]) -> Registry:
    return mlflow[0]


@pytest.fixture
async def proxy(mlflow: tuple[Registry, str]) -> AsyncIterator[FaultyProxy]:
    async with faulty_proxy(mlflow[1]) as running:
        yield running


@pytest.fixture
async def replica(proxy: FaultyProxy) -> AsyncIterator[Replica]:
    replica = Replica(proxy.url)
    yield replica
    await replica.adapter.close()


@pytest.fixture
async def another(proxy: FaultyProxy) -> AsyncIterator[Replica]:
    replica = Replica(proxy.url)
    yield replica
    await replica.adapter.close()


async def test_a_run_that_another_replica_made_is_found(server: Registry, replica: Replica, another: Replica) -> None:
    assert await replica.run("u1") == await another.run("u1") == await replica.run("u1")
    assert server.calls["POST runs/create"] == 1


async def test_what_may_have_been_done_is_not_sent_again(
    server: Registry, proxy: FaultyProxy, replica: Replica
) -> None:
    proxy.fail(Fault.CUT, "runs/create")
    with pytest.raises(Unavailable):
        await replica.run("u1")
    assert server.calls["POST runs/create"] == 1
    proxy.heal()
    await replica.run("u1")
    assert server.calls["POST runs/create"] == 1


async def test_an_answer_of_somebody_else_leads_to_no_run(
    server: Registry, proxy: FaultyProxy, replica: Replica
) -> None:
    proxy.fail(Fault.FOREIGN_JSON, "runs/search")
    with pytest.raises(Unavailable, match="not an answer of MLflow"):
        await replica.run("u1")
    assert server.calls["POST runs/create"] == 0


async def test_a_version_whose_answer_got_lost_is_found(
    server: Registry, proxy: FaultyProxy, replica: Replica, another: Replica
) -> None:
    assert await replica.register("u1") == "1"
    proxy.fail(Fault.CUT, "model-versions/create")
    with pytest.raises(Unavailable):
        await replica.register("u2")
    proxy.heal()
    made = server.calls["POST model-versions/create"]
    assert await another.register("u2") == await replica.register("u2") == "2"
    assert server.calls["POST model-versions/create"] == made


async def test_of_two_that_claim_a_model_the_first_has_it(replica: Replica, another: Replica) -> None:
    assert await replica.carry_out(ClaimModel("default", MODEL, "c1/quant/hedge/u1")) == "c1/quant/hedge/u1"
    assert await another.carry_out(ClaimModel("default", MODEL, "c1/quant/other/u2")) == "c1/quant/hedge/u1"


async def test_an_alias_that_somebody_moved_meanwhile_stays(replica: Replica) -> None:
    await replica.carry_out(ClaimModel("default", MODEL, "c1/quant/hedge/u1"))
    await replica.carry_out(SetAlias("default", MODEL, "champion", "3"))  # as a person does
    moved = await replica.carry_out(MoveAlias("default", MODEL, "champion", "2", "1", "2026-03-01T12:00:00Z"))
    assert (moved.version, moved.moved) == ("3", False)
