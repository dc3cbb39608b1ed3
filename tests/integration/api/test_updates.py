"""Once means once: what of a resource can be changed after creation, as the API server itself enforces it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from modelcycle.api.v1alpha1.training import FIXED_FIELDS
from tests.integration.api.client import Manifest, RefusedError, ResourceClient
from tests.integration.api.samples import FULL_TRAINING_SPEC, TRAINING_SPEC, manifest

# For every field of a training that is fixed, another valid value.
CHANGES: dict[str, Any] = {
    "image": "localhost/modelcycle/training:0.2.0",
    "imagePullPolicy": "Never",
    "imagePullSecrets": ["other"],
    "command": ["python3"],
    "args": ["/workspace/other.py"],
    "parameters": [{"name": "units", "value": "32"}],
    "env": [{"name": "LEVEL", "value": "debug"}],
    "data": [{"name": "market", "path": "/other", "persistentVolumeClaim": {"claimName": "market"}}],
    "resources": {"gpu": 2},
    "placement": {"priorityClassName": "production"},
    "serviceAccountName": "other",
    "configMap": "other",
    "seed": 8,
    "retries": {"userErrors": 2},
    "pendingDeadlineSeconds": 601,
    "mlflow": "default",
    "experiment": "other",
    "register": {"model": "default.other"},
    "asOf": "2007-12-31T21:00:00Z",
    "holdout": {"extent": {"rows": 61}},
    "nonce": "2",
}
DEFAULTED = {"imagePullPolicy", "resources", "placement", "seed", "retries", "pendingDeadlineSeconds", "mlflow"}
OPTIONAL = tuple(field for field in CHANGES if field not in {"image", "register", *DEFAULTED})
WITHIN = [("resources", "cpuLimit"), ("register", "alias"), ("holdout", "gap"), ("placement", "priorityClassName")]


@pytest.fixture(scope="module")
def full(resources: ResourceClient) -> Iterator[Manifest]:
    made = resources.create(manifest("ModelTraining", FULL_TRAINING_SPEC, name="full"))
    yield made
    resources.delete(made)


@pytest.fixture(scope="module")
def small(resources: ResourceClient) -> Iterator[Manifest]:
    made = resources.create(manifest("ModelTraining", TRAINING_SPEC, name="small"))
    yield made
    resources.delete(made)


def update(resources: ResourceClient, training: Manifest, fields: dict[str, Any]) -> Manifest:
    """Store ``training`` with other fields; None removes a field."""
    spec = {name: value for name, value in (training["spec"] | fields).items() if value is not None}
    return resources.replace(resources.get(training) | {"spec": spec})


def test_there_is_a_change_for_every_fixed_field() -> None:
    assert set(CHANGES) == set(FIXED_FIELDS)


@pytest.mark.parametrize("field", CHANGES)
def test_a_fixed_field_can_not_be_changed(field: str, full: Manifest, resources: ResourceClient) -> None:
    with pytest.raises(RefusedError, match=rf"spec\.{field}.*{field} can't be changed after creation"):
        update(resources, full, {field: CHANGES[field]})


@pytest.mark.parametrize("field", OPTIONAL)
def test_a_fixed_field_can_not_be_removed(field: str, full: Manifest, resources: ResourceClient) -> None:
    with pytest.raises(RefusedError, match=f"{field} can't be changed after creation"):
        update(resources, full, {field: None})


@pytest.mark.parametrize("field", OPTIONAL)
def test_a_fixed_field_can_not_be_added(field: str, small: Manifest, resources: ResourceClient) -> None:
    with pytest.raises(RefusedError, match=f"{field} can't be changed after creation"):
        update(resources, small, {field: CHANGES[field]})


@pytest.mark.parametrize(("field", "part"), WITHIN)
def test_what_is_within_a_fixed_field_can_not_be_removed(
    field: str, part: str, full: Manifest, resources: ResourceClient
) -> None:
    less = {name: value for name, value in full["spec"][field].items() if name != part}
    with pytest.raises(RefusedError, match=rf"spec\.{field}.*{field} can't be changed after creation"):
        update(resources, full, {field: less})


def test_a_fixed_field_can_not_come_for_another(resources: ResourceClient) -> None:
    swapping = resources.create(manifest("ModelTraining", TRAINING_SPEC | {"nonce": "1"}, name="swapping"))
    with pytest.raises(RefusedError, match="experiment can't be changed after creation"):
        update(resources, swapping, {"nonce": None, "experiment": "another"})
    resources.delete(swapping)


def test_a_deadline_can_not_be_shortened(full: Manifest, resources: ResourceClient) -> None:
    with pytest.raises(RefusedError, match=r"spec\.deadlineSeconds.*can only be extended"):
        update(resources, full, {"deadlineSeconds": 3599})


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param({"suspend": True}, id="suspend"),
        pytest.param({"suspend": False}, id="go on"),
        pytest.param({"deadlineSeconds": 7200}, id="a later deadline"),
        pytest.param({"ttlSecondsAfterFinished": 0}, id="a shorter life of the pods"),
    ],
)
def test_what_may_change_can_be_changed(allowed: dict[str, Any], resources: ResourceClient) -> None:
    fresh = resources.create(manifest("ModelTraining", TRAINING_SPEC | {"deadlineSeconds": 3600}, name="changing"))
    stored = update(resources, fresh, allowed)
    resources.delete(fresh)
    assert {name: stored["spec"][name] for name in allowed} == allowed


def test_the_same_again_is_no_change(full: Manifest, resources: ResourceClient) -> None:
    before = resources.get(full)
    assert update(resources, full, {})["metadata"]["generation"] == before["metadata"]["generation"]
