"""Whom a change concerns, from the runtime's cache."""

from __future__ import annotations

from typing import Any

import pytest

from modelcycle.cluster.kinds import KINDS, Kind
from modelcycle.cluster.views import view_of
from modelcycle.core.observed import Resource
from modelcycle.retrain.domain import DOMAIN
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from modelcycle.settings import Settings

SETTINGS = Settings(cluster_id="c1", serving_image="localhost/serving:1")


def raw(kind: Kind, name: str, spec: dict[str, Any], namespace: str = "quant") -> dict[str, Any]:
    metadata = {"namespace": namespace, "name": name, "uid": f"{kind.name}-{name}", "resourceVersion": "1"}
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "spec": spec}


def policy(name: str, deployment: str = "hedge", **place: str) -> dict[str, Any]:
    spec = {
        "deployment": {"name": deployment},
        "triggers": [{"name": "age", "age": {"maxAge": "30d"}}],
        "gate": {"data": {"source": "m", "file": "t.csv", "timeColumn": "date", "labelColumn": "y"}},
        "template": {
            "image": "train:1",
            "data": [{"name": "m", "path": "/data", "persistentVolumeClaim": {"claimName": "m"}}],
        },
    }
    return raw(KINDS["RetrainPolicy"], name, spec, **place)


@pytest.fixture
def cache() -> Cache:
    filled = Cache(lambda kind, view: None, Metrics())
    for one in (policy("b"), policy("a"), policy("other", "vol"), policy("far", namespace="bank")):
        filled.put(KINDS["RetrainPolicy"], one)
    return filled


@pytest.mark.parametrize(
    ("changed", "concerned"),
    [
        pytest.param(raw(KINDS["ModelDeployment"], "hedge", {"model": {"name": "quant.h"}}), "ab", id="its deployment"),
        pytest.param(raw(KINDS["ModelDeployment"], "hedge", {"model": 7}), "ab", id="its deployment, now invalid"),
        pytest.param(raw(KINDS["ModelDeployment"], "new", {"model": {"name": "quant.h"}}), "", id="nobody's"),
        pytest.param(policy("a"), "b", id="a sibling"),
        pytest.param(policy("third"), "ab", id="a new sibling"),
        pytest.param(policy("a") | {"spec": {}}, "", id="a policy that says nothing any more"),
        pytest.param(raw(KINDS["ModelTraining"], "hedge", {}), "", id="a training: it has a label"),
        pytest.param(raw(KINDS["Service"], "hedge", {}), "", id="something else"),
    ],
)
def test_whom_a_change_concerns(cache: Cache, changed: dict[str, Any], concerned: str) -> None:
    kind = KINDS[changed["kind"]]
    found = DOMAIN.concerned(kind.name, view_of(kind, changed), cache)
    assert [key.name for key in found] == list(concerned)
    assert {key.namespace for key in found} <= {"quant"}


def test_siblings_watch_the_same_deployment(cache: Cache) -> None:
    view = cache.get(Resource, "RetrainPolicy", "quant", "a")
    assert view is not None
    assert [one.name for one in DOMAIN.observe(view, cache, {}, {}, SETTINGS).siblings] == ["b"]
