"""Claims, alias moves and the poller against a real MLflow server."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from modelcycle.constants import TAG_OWNER
from modelcycle.errors import NotFound, Unavailable
from modelcycle.registry.port import AliasMoved, ClaimModel, ModelFact, ModelReading, MoveAlias, SetAlias
from tests.contract.conftest import ENDPOINT, Api, Registry
from tests.support.proxy import Fault, FaultyProxy

US, THEM = "cluster/shop/prices/uid-1", "cluster/lab/prices/uid-2"


@pytest.fixture
async def model(api: Api, unique: str) -> str:
    """A registered model with the versions 1 and 2."""
    name = f"shop.prices.{unique}"
    await api.post("registered-models/create", name=name)
    for _ in range(2):
        await api.post("model-versions/create", name=name, source="s3://bucket/anywhere")
    return name


# --- claims ----------------------------------------------------------------------------------------------------------
async def test_claiming_a_model_that_does_not_exist_creates_it(
    registry: Registry, api: Api, proxy: FaultyProxy, unique: str
) -> None:
    effect = ClaimModel(ENDPOINT, f"new.{unique}", US)
    assert await registry.carry_out(effect) == US
    assert proxy.api_calls() == ["GET registered-models/get", "POST registered-models/create"]
    assert await registry.carry_out(effect) == US
    assert proxy.api_calls() == ["GET registered-models/get"]
    found = await api.get("registered-models/get", name=f"new.{unique}")
    assert found["registered_model"]["tags"] == [{"key": TAG_OWNER, "value": US}]


async def test_claiming_a_model_that_nobody_owns(registry: Registry, proxy: FaultyProxy, model: str) -> None:
    assert await registry.carry_out(ClaimModel(ENDPOINT, model, US)) == US
    assert proxy.api_calls() == ["GET registered-models/get", "POST registered-models/set-tag"]


@pytest.mark.parametrize(
    ("replace", "owner"),
    [
        pytest.param(None, THEM, id="theirs stays theirs"),
        pytest.param("cluster/lab/prices/uid-0", THEM, id="replacing somebody who is not the owner changes nothing"),
        pytest.param(THEM, US, id="the owner who is gone is replaced"),
    ],
)
async def test_claiming_what_another_owns(registry: Registry, model: str, replace: str | None, owner: str) -> None:
    await registry.carry_out(ClaimModel(ENDPOINT, model, THEM))
    for _ in range(2):
        assert await registry.carry_out(ClaimModel(ENDPOINT, model, US, replace)) == owner


@pytest.mark.parametrize("exists", [True, False])
async def test_of_two_who_claim_at_the_same_time_one_wins(
    registry: Registry, model: str, unique: str, exists: bool
) -> None:
    name = model if exists else f"new.{unique}"
    both = [registry.carry_out(ClaimModel(ENDPOINT, name, who)) for who in (US, THEM)]
    assert len(set(await asyncio.gather(*both))) == 1


@pytest.mark.parametrize("path", ["registered-models/create", "registered-models/set-tag"])
async def test_a_claim_whose_answer_got_lost(
    registry: Registry, proxy: FaultyProxy, model: str, unique: str, path: str
) -> None:
    effect = ClaimModel(ENDPOINT, model if path.endswith("set-tag") else f"new.{unique}", US)
    proxy.fail(Fault.CUT, path)
    with pytest.raises(Unavailable):
        await registry.carry_out(effect)
    proxy.heal()
    proxy.api_calls()
    assert await registry.carry_out(effect) == US
    assert proxy.api_calls() == ["GET registered-models/get"]


# --- alias moves -----------------------------------------------------------------------------------------------------
def move(model: str, to: str | None, expect: str | None) -> MoveAlias:
    return MoveAlias(ENDPOINT, model, "champion", to, expect, "2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("before", "expect", "to", "after", "moved"),
    [
        pytest.param(None, None, "1", "1", True, id="set for the first time"),
        pytest.param("1", "1", "2", "2", True, id="moved"),
        pytest.param("2", "1", "2", "2", True, id="moved already by an earlier try"),
        pytest.param("1", "2", "1", "1", True, id="there already, whatever was expected"),
        pytest.param("1", None, "2", "1", False, id="somebody set it meanwhile"),
        pytest.param("2", "1", None, "2", False, id="somebody moved it: not deleted"),
        pytest.param(None, "1", "2", None, False, id="somebody deleted it"),
        pytest.param("1", "1", None, None, True, id="deleted"),
        pytest.param(None, "1", None, None, True, id="deleted already"),
    ],
)
async def test_moving_an_alias(
    registry: Registry,
    api: Api,
    model: str,
    before: str | None,
    expect: str | None,
    to: str | None,
    after: str | None,
    moved: bool,
) -> None:
    if before:
        await api.post("registered-models/alias", name=model, alias="champion", version=before)
    for _ in range(2):
        assert await registry.carry_out(move(model, to, expect)) == AliasMoved(after, moved)
        assert (await api.aliases(model)).get("champion") == after


async def test_a_move_takes_two_calls_and_one_when_there_is_nothing_to_do(
    registry: Registry, proxy: FaultyProxy, model: str
) -> None:
    await registry.carry_out(move(model, "1", None))
    assert proxy.api_calls() == ["GET registered-models/get", "POST registered-models/alias"]
    await registry.carry_out(move(model, "1", None))
    assert proxy.api_calls() == ["GET registered-models/get"]
    await registry.carry_out(move(model, None, "1"))
    assert proxy.api_calls() == ["GET registered-models/get", "DELETE registered-models/alias"]


async def test_moving_to_what_is_not_there(registry: Registry, model: str, unique: str) -> None:
    with pytest.raises(NotFound):
        await registry.carry_out(move(model, "77", None))
    with pytest.raises(NotFound):
        await registry.carry_out(move(f"nothing.{unique}", "1", None))
    assert await registry.carry_out(move(f"nothing.{unique}", None, "1")) == AliasMoved(None, moved=True)


@pytest.mark.parametrize("to", ["2", None])
async def test_a_move_whose_answer_got_lost(
    registry: Registry, api: Api, proxy: FaultyProxy, model: str, to: str | None
) -> None:
    await api.post("registered-models/alias", name=model, alias="champion", version="1")
    proxy.fail(Fault.CUT, "registered-models/alias")
    with pytest.raises(Unavailable):
        await registry.carry_out(move(model, to, "1"))
    proxy.heal()
    assert await registry.carry_out(move(model, to, "1")) == AliasMoved(to, moved=True)


async def test_setting_an_alias_that_a_resource_asks_for(
    registry: Registry, api: Api, proxy: FaultyProxy, model: str
) -> None:
    for version in ("1", "1", "2"):
        await registry.carry_out(SetAlias(ENDPOINT, model, "challenger", version))
        assert proxy.api_calls() == ["POST registered-models/alias"]
        assert await api.aliases(model) == {"challenger": version}
    with pytest.raises(NotFound):
        await registry.carry_out(SetAlias(ENDPOINT, model, "challenger", "77"))


# --- the poller ------------------------------------------------------------------------------------------------------
async def read(registry: Registry, names: Collection[str]) -> dict[str, Any]:
    poller = registry.adapter.pollers[ENDPOINT]
    readings = await poller.read([ModelFact(ENDPOINT, name) for name in names])
    return {fact.model: value for fact, value in readings.items() if isinstance(fact, ModelFact)}


async def test_one_search_reads_aliases_and_owners_of_all_models(
    registry: Registry, api: Api, proxy: FaultyProxy, model: str, unique: str
) -> None:
    for alias, version in (("champion", "1"), ("challenger", "2")):
        await api.post("registered-models/alias", name=model, alias=alias, version=version)
    await registry.carry_out(ClaimModel(ENDPOINT, model, US))
    await api.post("registered-models/create", name=f"bare.{unique}")
    proxy.api_calls()
    readings = await read(registry, [model, f"bare.{unique}", f"nothing.{unique}", "with'quote"])
    assert proxy.api_calls() == ["GET registered-models/search"]
    assert readings == {
        model: ModelReading(exists=True, aliases=(("challenger", "2"), ("champion", "1")), owner=US),
        f"bare.{unique}": ModelReading(exists=True),
        f"nothing.{unique}": ModelReading(exists=False),
        "with'quote": ModelReading(exists=False),
    }
    assert readings[model].alias("champion") == "1"


async def test_many_models_are_read_page_by_page(registry: Registry, api: Api, proxy: FaultyProxy, unique: str) -> None:
    names = [f"many.{unique}.{number:03}" for number in range(120)]
    for name in names:
        await api.post("registered-models/create", name=name)
    readings = await read(registry, names)
    assert all(reading.exists for reading in readings.values())
    assert len(readings) == 120
    assert proxy.api_calls() == ["GET registered-models/search"] * 3


@pytest.mark.parametrize("fault", [Fault.ERROR_500, Fault.FOREIGN_JSON, Fault.HTML, Fault.CUT, Fault.HUGE])
async def test_without_a_clear_answer_no_model_is_said_to_be_missing(
    registry: Registry, proxy: FaultyProxy, model: str, fault: Fault
) -> None:
    proxy.fail(fault)
    with pytest.raises(Unavailable):
        await read(registry, [model])
    proxy.heal()
    assert (await read(registry, [model]))[model].exists


async def test_nothing_wanted_asks_nothing(registry: Registry, proxy: FaultyProxy) -> None:
    assert await read(registry, []) == {}
    assert proxy.api_calls() == []
