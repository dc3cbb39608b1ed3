"""What a deployment's pass sees of others, from the runtime's cache."""

from __future__ import annotations

from typing import Any

from modelcycle.cluster.kinds import MODEL_DEPLOYMENT
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Fact, FactRequest
from modelcycle.deployment.domain import DOMAIN
from modelcycle.registry.port import ModelFact, ModelReading
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import Key
from tests.unit.deployment.outside import MODEL, SETTINGS, START


def deployment(name: str, uid: str, model: str = MODEL) -> dict[str, Any]:
    return {
        "apiVersion": MODEL_DEPLOYMENT.api_version,
        "kind": "ModelDeployment",
        "metadata": {
            "namespace": "quant",
            "name": name,
            "uid": uid,
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": START.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        "spec": {"model": {"name": model}},
    }


def cache(*raws: dict[str, Any]) -> Cache:
    filled = Cache(lambda kind, view: None, Metrics())
    for raw in raws:
        filled.put(MODEL_DEPLOYMENT, raw)
    return filled


def found(filled: Cache, name: str) -> Resource[Any, Any]:
    resource = filled.get(Resource, "ModelDeployment", "quant", name)
    assert resource is not None
    return resource


def left(filled: Cache, owner: str) -> frozenset[str]:
    facts: dict[FactRequest, Fact] = {ModelFact("default", MODEL): Fact(START, ModelReading(True, (), owner))}
    return DOMAIN.observe(found(filled, "new"), filled, {}, facts, SETTINGS).left


def test_an_owner_that_the_cache_has_is_never_taken_for_gone_not_even_while_it_is_being_deleted() -> None:
    old = deployment("old", "u-old")
    old["metadata"]["deletionTimestamp"] = "2026-03-01T12:00:00Z"
    filled = cache(deployment("new", "u-new"), old)
    assert left(filled, "c1/quant/old/u-old") == frozenset()
    filled.remove(MODEL_DEPLOYMENT, "quant", "old", "u-old")
    assert left(filled, "c1/quant/old/u-old") == {"c1/quant/old/u-old"}


def test_one_that_goes_brings_those_back_that_wait_for_its_model() -> None:
    filled = cache(deployment("new", "u-new"), deployment("old", "u-old"), deployment("else", "u-3", "quant.other"))
    gone = found(filled, "old")
    filled.remove(MODEL_DEPLOYMENT, "quant", "old", "u-old")
    concerned = DOMAIN.concerned("ModelDeployment", gone, filled)
    assert list(concerned) == [Key("ModelDeployment", "quant", "new")]
