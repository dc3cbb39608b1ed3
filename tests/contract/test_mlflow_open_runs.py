"""What the sweeper sees of a real MLflow server."""

from __future__ import annotations

from modelcycle.constants import TAG_TRAINING, TAG_UID
from modelcycle.registry.open_runs import RUNS_PAGE, OpenRun
from modelcycle.registry.port import EndRun, RunStatus
from tests.contract.conftest import ENDPOINT, Api, Registry


async def seen(registry: Registry, cluster: str) -> set[OpenRun]:
    return {run async for run in registry.adapter.open_runs(ENDPOINT, cluster)}


async def test_runs_of_this_cluster_that_nobody_has_ended(registry: Registry, api: Api, unique: str) -> None:
    ours = [
        await registry.run(
            f"{unique}-{number}", experiment=f"{unique}-{number}", tags=((TAG_TRAINING, f"{unique}/shop/mt"),)
        )
        for number in range(3)
    ]
    await registry.run(f"{unique}-else", tags=((TAG_TRAINING, f"{unique}x/shop/mt"),))
    by_hand = [{"key": TAG_TRAINING, "value": f"{unique}/shop/mt"}]
    await api.post("runs/create", experiment_id=ours[0].experiment_id, tags=by_hand)
    await registry.adapter.end_run(EndRun(ENDPOINT, ours[0].run_id, RunStatus.KILLED))
    await api.post("runs/delete", run_id=ours[1].run_id)
    assert await seen(registry, unique) == {OpenRun(ours[2].run_id, "shop", "mt", f"{unique}-2")}


async def test_more_runs_than_a_page(registry: Registry, api: Api, unique: str) -> None:
    run = await registry.run(unique)
    for number in range(RUNS_PAGE + 2):
        tags = [{"key": TAG_TRAINING, "value": f"{unique}/shop/mt"}, {"key": TAG_UID, "value": f"{unique}-{number}"}]
        await api.post("runs/create", experiment_id=run.experiment_id, tags=tags)
    assert len(await seen(registry, unique)) == RUNS_PAGE + 2
