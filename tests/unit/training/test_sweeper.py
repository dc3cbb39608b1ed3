from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelcycle.errors import ModelcycleError, NotFound, Unavailable
from modelcycle.registry.open_runs import OpenRun
from modelcycle.registry.port import EndRun, RunStatus
from modelcycle.training import sweeper as sweeper_module
from modelcycle.training.sweeper import Sweeper


class FakeRegistry:
    def __init__(self, *runs: OpenRun, down: tuple[str, ...] = ()) -> None:
        self.runs = runs
        self.down = down
        self.ended: list[EndRun] = []

    async def open_runs(self, endpoint: str, cluster_id: str) -> AsyncIterator[OpenRun]:
        if endpoint in self.down:
            raise Unavailable("down")
        for run in self.runs:
            yield run

    async def end_run(self, effect: EndRun) -> None:
        self.ended.append(effect)


class FakeCluster:
    """Knows trainings by name and uid; an error for a name stands for an API server that does not answer."""

    def __init__(self, trainings: dict[str, str | ModelcycleError]) -> None:
        self.trainings = trainings

    async def get(self, kind: Any, namespace: str, name: str) -> dict[str, Any]:
        found = self.trainings.get(f"{namespace}/{name}", NotFound("no such training"))
        if isinstance(found, ModelcycleError):
            raise found
        return {"metadata": {"uid": found}}


@pytest.mark.parametrize(
    ("there", "ended"),
    [
        pytest.param({"quant/hedge": "u1"}, [], id="its training lives"),
        pytest.param({}, ["r1"], id="its training is gone"),
        pytest.param({"quant/hedge": "u2"}, ["r1"], id="another training has its name"),
        pytest.param({"quant/hedge": Unavailable("no answer")}, [], id="the API server does not say"),
    ],
)
async def test_a_run_is_ended_only_when_its_training_is_certainly_gone(there: Any, ended: list[str]) -> None:
    registry = FakeRegistry(OpenRun("r1", "quant", "hedge", "u1"))
    sweeper = Sweeper(registry, FakeCluster(there), "c1", ("default",), lambda: True)  # type: ignore[arg-type]
    await sweeper.sweep()
    assert [effect.run_id for effect in registry.ended] == ended
    assert all(effect.status is RunStatus.KILLED for effect in registry.ended)


async def test_an_endpoint_that_is_away_does_not_keep_the_others_from_being_swept() -> None:
    registry = FakeRegistry(OpenRun("r1", "quant", "hedge", "u1"), down=("first",))
    sweeper = Sweeper(registry, FakeCluster({}), "c1", ("first", "second"), lambda: True)  # type: ignore[arg-type]
    assert not await sweeper.sweep(), "one is left"
    assert [effect.endpoint for effect in registry.ended] == ["second"]


async def test_an_endpoint_that_is_back_is_swept_within_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper_module, "RETRY_SECONDS", 0.01)
    registry = FakeRegistry(OpenRun("r1", "quant", "hedge", "u1"), down=("default",))
    sweeper = Sweeper(registry, FakeCluster({}), "c1", ("default",), lambda: True)  # type: ignore[arg-type]
    running = asyncio.create_task(sweeper.run())
    await asyncio.sleep(0.05)
    assert not registry.ended
    registry.down = ()
    async with asyncio.timeout(30):
        while not registry.ended:  # noqa: ASYNC110 (a list of the fake)
            await asyncio.sleep(0.01)
    running.cancel()
