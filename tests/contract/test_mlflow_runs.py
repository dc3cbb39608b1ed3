"""Runs against a real MLflow server."""

from __future__ import annotations

import asyncio

import pytest

from modelcycle.constants import TAG_DUPLICATE_OF, TAG_TRAINING, TAG_UID
from modelcycle.errors import Refused, Unavailable
from modelcycle.registry.mlflow import MlflowRegistry
from modelcycle.registry.port import EndRun, EnsureRun, RunStatus
from modelcycle.runtime.fence import LeaseFence
from modelcycle.settings import MlflowEndpoint
from tests.contract.conftest import ENDPOINT, Api, Registry
from tests.support.proxy import Fault, FaultyProxy


async def test_a_run_is_made_once_however_often_it_is_asked_for(
    registry: Registry, restarted: Registry, api: Api, proxy: FaultyProxy, unique: str
) -> None:
    tags = ((TAG_TRAINING, "cluster/shop/prices-über"),)
    first = await registry.run(unique, experiment=f"shop/{unique} ü'x", tags=tags)
    assert proxy.api_calls() == [
        "GET experiments/get-by-name",
        "POST experiments/create",
        "POST runs/search",
        "POST runs/create",
    ]
    assert await registry.run(unique, experiment=f"shop/{unique} ü'x", tags=tags) == first
    assert proxy.api_calls() == ["POST runs/search"]
    assert await restarted.run(unique, experiment=f"shop/{unique} ü'x", tags=tags) == first
    assert proxy.api_calls() == ["GET experiments/get-by-name", "POST runs/search", "POST runs/search"]
    await registry.run(f"{unique}-2", experiment=f"shop/{unique} ü'x", tags=tags)
    assert proxy.api_calls() == ["POST runs/create"], "nobody can have made one before"

    (run,) = await api.runs(f"shop/{unique} ü'x", unique)
    assert run["info"]["run_name"] == f"run of {unique}"
    assert run["info"]["status"] == "RUNNING"
    tagged = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
    assert tagged[TAG_TRAINING] == "cluster/shop/prices-über"
    assert tagged[TAG_UID] == unique


async def test_the_oldest_of_several_runs_wins_and_the_others_are_ended(
    registry: Registry, api: Api, proxy: FaultyProxy, unique: str
) -> None:
    kept = await registry.run(unique)
    body = {"experiment_id": kept.experiment_id, "start_time": 9_999_999_999_999}
    late = (await api.post("runs/create", **body, tags=[{"key": TAG_UID, "value": unique}]))["run"]["info"]["run_id"]
    proxy.api_calls()
    assert await registry.run(unique) == kept
    assert proxy.api_calls() == ["POST runs/search", "POST runs/log-batch", "POST runs/update"]
    ended = (await api.get("runs/get", run_id=late))["run"]
    assert ended["info"]["status"] == "KILLED"
    assert {"key": TAG_DUPLICATE_OF, "value": kept.run_id} in ended["data"]["tags"]
    assert await registry.run(unique) == kept
    assert proxy.api_calls() == ["POST runs/search"], "a healed duplicate is left alone"


async def test_of_several_runs_the_one_that_pods_log_to_wins(registry: Registry, api: Api, unique: str) -> None:
    """Two leaders made a run each; the Job of the later one was made, and its status was not."""
    first = await registry.run(unique)
    body = {"experiment_id": first.experiment_id, "start_time": 9_999_999_999_999}
    used = (await api.post("runs/create", **body, tags=[{"key": TAG_UID, "value": unique}]))["run"]["info"]["run_id"]
    effect = EnsureRun(ENDPOINT, "contract", f"run of {unique}", unique, (), keep=used)
    assert (await registry.carry_out(effect)).run_id == used
    ended = (await api.get("runs/get", run_id=first.run_id))["run"]
    assert ended["info"]["status"] == "KILLED"
    assert {"key": TAG_DUPLICATE_OF, "value": used} in ended["data"]["tags"]


@pytest.mark.parametrize("fault", [Fault.CUT, Fault.SILENT])
async def test_a_creation_whose_answer_got_lost_is_found_again(
    registry: Registry, api: Api, proxy: FaultyProxy, unique: str, fault: Fault, impatient: None
) -> None:
    proxy.fail(fault, "runs/create")
    with pytest.raises(Unavailable):
        await registry.run(unique)
    assert proxy.api_calls()[-1] == "POST runs/create", "nothing is tried again by itself"
    proxy.heal()
    found = await registry.run(unique)
    assert [run["info"]["run_id"] for run in await api.runs("contract", unique)] == [found.run_id]


@pytest.mark.parametrize(
    "fault", [Fault.ERROR_500, Fault.BUSY_503, Fault.HTML, Fault.FOREIGN_JSON, Fault.BROKEN_JSON, Fault.HUGE]
)
async def test_a_search_without_a_clear_answer_leads_to_no_creation(
    registry: Registry, api: Api, proxy: FaultyProxy, unique: str, fault: Fault
) -> None:
    await registry.run(f"before {unique}")
    proxy.fail(Fault.BUSY_503, "runs/create")
    with pytest.raises(Unavailable):
        await registry.run(unique)
    proxy.api_calls()
    proxy.fail(fault, "runs/search")
    for _ in range(2):
        with pytest.raises(Unavailable) as raised:
            await registry.run(unique)
        assert "MLflow endpoint 'default': POST api/2.0/mlflow/runs/search" in str(raised.value)
        assert len(str(raised.value)) < 700
        assert proxy.api_calls() == ["POST runs/search"]
    assert await api.runs("contract", unique) == []


async def test_without_knowing_what_an_earlier_leader_made_nothing_is_made(
    registry: Registry, api: Api, proxy: FaultyProxy, unique: str
) -> None:
    await api.post("experiments/create", name=unique)
    proxy.fail(Fault.ERROR_500, "runs/search")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await registry.run(unique, experiment=unique)
    assert "POST runs/create" not in proxy.api_calls()
    proxy.heal()
    await registry.run(unique, experiment=unique)
    assert proxy.api_calls() == ["POST runs/search", "POST runs/create"]


@pytest.mark.parametrize("is_open", [True, False])
async def test_a_run_of_an_earlier_leader_is_found_among_very_many(
    registry: Registry, api: Api, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch, unique: str, is_open: bool
) -> None:
    monkeypatch.setattr("modelcycle.registry.tries.RUNS_PAGE", 2)
    monkeypatch.setattr("modelcycle.registry.tries.PAGES", 2)
    made = await api.post("experiments/create", name=unique)
    experiment = {"experiment_id": made["experiment_id"]}
    wanted = [{"key": TAG_UID, "value": unique}]
    start = 0 if is_open else 9_999_999_999_999
    first = (await api.post("runs/create", **experiment, tags=wanted, start_time=start))["run"]["info"]["run_id"]
    for number in range(5):
        tags = [{"key": TAG_UID, "value": f"{unique}-{number}"}]
        await api.post("runs/create", **experiment, tags=tags, start_time=1000 + number)
    if not is_open:  # its pod has ended it, before the operator that made the pod said so anywhere
        await api.post("runs/update", run_id=first, status="FINISHED")
    assert (await registry.run(unique, experiment=unique)).run_id == first
    assert proxy.api_calls().count("POST runs/search") == 4 if is_open else 3


async def test_who_leads_again_looks_again(proxy: FaultyProxy, api: Api, unique: str) -> None:
    now = 0.0
    fence = LeaseFence(lambda: now)
    fence.allow_until(10.0)
    adapter = MlflowRegistry([MlflowEndpoint(name=ENDPOINT, url=proxy.url)], fence)
    one = Registry(adapter)
    await one.run(f"{unique}-0", experiment=unique)
    experiment = (await api.get("experiments/get-by-name", experiment_name=unique))["experiment"]["experiment_id"]
    tags = [{"key": TAG_UID, "value": unique}]
    other = (await api.post("runs/create", experiment_id=experiment, tags=tags))["run"]["info"]["run_id"]
    now = 20.0
    fence.allow_until(30.0)
    assert (await one.run(unique, experiment=unique)).run_id == other
    await adapter.close()


async def test_two_processes_that_make_the_same_experiment_agree(
    registry: Registry, restarted: Registry, unique: str
) -> None:
    experiment = f"race {unique}"
    one, other = await asyncio.gather(
        registry.run(f"{unique}a", experiment=experiment), restarted.run(f"{unique}b", experiment=experiment)
    )
    assert one.experiment_id == other.experiment_id


async def test_a_deleted_experiment_is_explained(
    registry: Registry, restarted: Registry, api: Api, unique: str
) -> None:
    made = await registry.run(unique, experiment=unique)
    await api.post("experiments/delete", experiment_id=made.experiment_id)
    for either in (registry, restarted):  # one that knows its id, one that does not
        with pytest.raises(Refused, match="was deleted: restore it"):
            await either.run(f"{unique}-2", experiment=unique)
    await api.post("experiments/restore", experiment_id=made.experiment_id)
    assert (await registry.run(f"{unique}-2", experiment=unique)).experiment_id == made.experiment_id


async def test_a_run_that_a_person_deleted_is_made_again(registry: Registry, api: Api, unique: str) -> None:
    deleted = await registry.run(unique)
    await api.post("runs/delete", run_id=deleted.run_id)
    assert (await registry.run(unique)).run_id != deleted.run_id


async def test_a_run_is_ended_with_its_tags(registry: Registry, api: Api, proxy: FaultyProxy, unique: str) -> None:
    run = await registry.run(unique)
    proxy.api_calls()
    effect = EndRun(ENDPOINT, run.run_id, RunStatus.FAILED, (("reason", "the data is ill: Müll"),))
    for _ in range(2):
        await registry.carry_out(effect)
        assert proxy.api_calls() == ["POST runs/log-batch", "POST runs/update"]
    ended = (await api.get("runs/get", run_id=run.run_id))["run"]
    assert ended["info"]["status"] == "FAILED"
    assert {"key": "reason", "value": "the data is ill: Müll"} in ended["data"]["tags"]
    await registry.carry_out(EndRun(ENDPOINT, run.run_id, RunStatus.FINISHED))
    assert proxy.api_calls() == ["POST runs/search", "POST runs/update"]


async def test_a_run_that_its_pod_has_ended_is_left_alone(
    registry: Registry, restarted: Registry, api: Api, proxy: FaultyProxy, unique: str
) -> None:
    runs = [await registry.run(f"{unique}-{number}") for number in range(5)]
    for run in runs[1:]:
        await api.post("runs/update", run_id=run.run_id, status="FINISHED")
    proxy.api_calls()
    await asyncio.gather(*(registry.carry_out(EndRun(ENDPOINT, run.run_id, RunStatus.FINISHED)) for run in runs))
    assert proxy.api_calls() == ["POST runs/search", "POST runs/update"]
    await restarted.carry_out(EndRun(ENDPOINT, runs[0].run_id, RunStatus.FINISHED))
    assert proxy.api_calls() == ["POST runs/update"], "one that this process did not make"
    statuses = {(await api.get("runs/get", run_id=run.run_id))["run"]["info"]["status"] for run in runs}
    assert statuses == {"FINISHED"}


async def test_a_run_is_ended_also_when_nobody_can_tell_how_it_is(
    registry: Registry, api: Api, proxy: FaultyProxy, unique: str
) -> None:
    run = await registry.run(unique)
    proxy.fail(Fault.HUGE, "runs/search")
    await registry.carry_out(EndRun(ENDPOINT, run.run_id, RunStatus.FINISHED))
    assert (await api.get("runs/get", run_id=run.run_id))["run"]["info"]["status"] == "FINISHED"


async def test_a_run_that_is_gone_counts_as_ended(registry: Registry, api: Api, unique: str) -> None:
    run = await registry.run(unique)
    await api.post("runs/delete", run_id=run.run_id)
    await registry.carry_out(EndRun(ENDPOINT, run.run_id, RunStatus.KILLED, (("a", "b"),)))
    await registry.carry_out(EndRun(ENDPOINT, "0" * 32, RunStatus.KILLED))


async def test_a_run_that_refuses_to_end_for_another_reason_says_so(registry: Registry, unique: str) -> None:
    run = await registry.run(unique)
    with pytest.raises(Refused, match="key"):
        await registry.carry_out(EndRun(ENDPOINT, run.run_id, RunStatus.KILLED, (("bad\nkey", "b"),)))


async def test_a_missing_endpoint_is_named(registry: Registry) -> None:
    with pytest.raises(Exception, match="no MLflow endpoint is named 'other'"):
        await registry.carry_out(EnsureRun("other", "e", "n", "u", ()))
