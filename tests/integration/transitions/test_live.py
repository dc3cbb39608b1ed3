"""A sample of the leaves of each kind, changed on live resources that a real operator looks after."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from modelcycle.cluster.kinds import CHILDREN, JOB, MODEL_DEPLOYMENT, MODEL_TRAINING, RETRAIN_POLICY, Kind
from tests.crash.life import DEPLOYMENT, FIRST, LAST, POLICY, Life, policy_spec, serve, train
from tests.crash.sweep import Setting
from tests.support.lab.kube import KubeError, Manifest
from tests.transitions.effects import covers
from tests.transitions.leaves import differing
from tests.transitions.maps import MAPS
from tests.transitions.picture import differences, of_object

# Watches that are cut off in the middle leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

PATIENCE_SECONDS = 120.0
Seen = dict[tuple[str, str], Hashable]
NOT_OURS = (".clusterIP", ".resourceVersion")

DEPLOYED: dict[str, dict[str, Any]] = {
    "replicas": {"replicas": 3},
    "image": {"image": "localhost/modelcycle/serving:2"},
    "env": {"env": [{"name": "TOKEN", "secretKeyRef": {"name": "vendor", "key": "token"}}]},
    "memory": {"resources": {"memory": "3Gi"}},
    "placement": {"placement": {"nodeSelector": [{"key": "disk", "value": "ssd"}]}},
    "drain": {"serving": {"drainSeconds": 60}},
    "loss": {"feedback": {"loss": "Absolute"}},
    "pull secrets": {"imagePullSecrets": ["pull"]},
}
BAD_DEPLOYED: dict[str, tuple[dict[str, Any], str]] = {
    "an endpoint that nobody defined": ({"mlflow": "nowhere"}, "Stalled=True/EndpointUnknown"),
    "a version that does not exist": ({"model": {"version": "99"}}, "Stalled=True/VersionNotFound"),
    "a name that Kubernetes refuses": (
        {"env": [{"name": "TOKEN", "secretKeyRef": {"name": "a..b", "key": "token"}}]},
        "Stalled=True/ApiServerRefused",
    ),
}
BAD_POLICY: dict[str, tuple[dict[str, Any], str]] = {
    "no such deployment": ({"deployment": {"name": "nobody"}}, "Stalled=True/DeploymentMissing"),
    "an endpoint that nobody defined": ({"prometheus": "nowhere"}, "Stalled=True/EndpointUnknown"),
    "a day that never comes": (
        {"triggers": [{"name": "loss", "schedule": {"cron": "0 0 30 2 *"}}]},
        "DriftDetected=Unknown/InvalidSchedule",
    ),
    "suspended": ({"suspend": True}, "Suspended=True/Suspended"),
}


def look(life: Life, kind: Kind, name: str) -> Seen:
    """Of the resource and its children, as they are in the API server."""
    raws = [one for one_kind in (kind, *CHILDREN) for one in life.informer.all(life.namespace, one_kind)]
    seen: Seen = {}
    for raw in raws:
        seen.update(of_object((raw["kind"], raw["metadata"]["name"]), raw, kind.name, name))
    return {(path, which): value for (path, which), value in seen.items() if not path.endswith(NOT_OURS)}


def conditions(life: Life, kind: Kind, name: str) -> set[str]:
    found = life.status(kind, name).get("conditions", ())
    return {f"{one['type']}={one['status']}/{one['reason']}" for one in found}


async def change(life: Life, kind: Kind, name: str, spec: Manifest) -> int:
    """Put ``spec`` in place of what there is; gives its generation."""
    while True:
        raw = await life.informer.kube.get(kind, life.namespace, name)
        assert raw is not None
        try:
            answer = await life.informer.kube.request("PUT", kind.path(life.namespace, name), raw | {"spec": spec})
        except KubeError as error:
            if error.status != 409:  # the operator has written the status in between
                raise
        else:
            return int(answer["metadata"]["generation"])


async def comes_to(life: Life, condition: Any, what: str) -> None:
    await life.until(condition, what, PATIENCE_SECONDS)


async def only(life: Life, kind: Kind, name: str, before: Seen, allowed: list[str], what: str) -> None:
    """Something changes, and once all is at rest nothing but what is ``allowed``."""

    def strange() -> list[str]:
        changed = differences(before, look(life, kind, name))
        return [path for path in changed if not any(covers(one, path) for one in allowed)] if changed else ["nothing"]

    try:
        await comes_to(life, lambda: not strange(), f"{what} changes what is mapped")
    except AssertionError as error:
        raise AssertionError(f"{what} changes {strange()}") from error


async def is_as_before(life: Life, kind: Kind, name: str, before: Seen) -> None:
    """Nothing but the generation tells what happened in between."""

    def same() -> bool:
        return not differences(before, look(life, kind, name))

    try:
        await comes_to(life, same, "all is as before")
    except AssertionError as error:
        left = differences(before, look(life, kind, name))
        raise AssertionError(f"not as before: {sorted(left)}") from error


def merged(spec: Manifest, changes: Manifest) -> Manifest:
    return spec | {
        name: spec[name] | value if isinstance(value, dict) and isinstance(spec.get(name), dict) else value
        for name, value in changes.items()
    }


async def test_fields_of_a_deployment_change_what_is_mapped_and_back(here: Setting) -> None:
    life, kind = here.life, MODEL_DEPLOYMENT
    await train(life)
    await serve(life)
    raw = await life.informer.kube.get(kind, life.namespace, DEPLOYMENT)
    assert raw is not None
    good, before = raw["spec"], look(life, kind, DEPLOYMENT)
    for what, changes in DEPLOYED.items():
        spec = merged(good, changes)
        allowed = [path for leaf in differing(good, spec) for path in MAPS[kind.name].paths(leaf)]
        assert allowed, what
        generation = await change(life, kind, DEPLOYMENT, spec)
        await comes_to(life, lambda g=generation: _seen(life, kind, DEPLOYMENT) == g, f"{what} is seen")
        await only(life, kind, DEPLOYMENT, before, allowed, what)
        await change(life, kind, DEPLOYMENT, good)
        await is_as_before(life, kind, DEPLOYMENT, before)
    for what, (changes, told) in BAD_DEPLOYED.items():
        await change(life, kind, DEPLOYMENT, merged(good, changes))
        await comes_to(life, lambda t=told: t in conditions(life, kind, DEPLOYMENT), f"{what} is told: {told}")
        assert life.status(kind, DEPLOYMENT)["stable"]["version"] == "1", "what served goes on"
        await change(life, kind, DEPLOYMENT, good)
        await is_as_before(life, kind, DEPLOYMENT, before)


def _seen(life: Life, kind: Kind, name: str) -> int:
    return int(life.status(kind, name).get("observedGeneration", 0))


async def test_a_policy_is_as_before_once_its_spec_is(here: Setting) -> None:
    life, kind = here.life, RETRAIN_POLICY
    await train(life)
    await serve(life)
    await life.create(kind, POLICY, policy_spec())
    few = "DriftDetected=Unknown/TooFewRows"
    await comes_to(life, lambda: few in conditions(life, kind, POLICY), "the policy watches")
    raw = await life.informer.kube.get(kind, life.namespace, POLICY)
    assert raw is not None
    good, before = raw["spec"], look(life, kind, POLICY)
    for what, (changes, told) in BAD_POLICY.items():
        await change(life, kind, POLICY, merged(good, changes))
        await comes_to(life, lambda t=told: t in conditions(life, kind, POLICY), f"{what} is told: {told}")
        await change(life, kind, POLICY, good)
        await is_as_before(life, kind, POLICY, before)


async def test_what_may_change_of_a_training_changes_its_job(here: Setting) -> None:
    life, kind = here.life, MODEL_TRAINING
    await train(life)
    spec = {"image": "localhost/modelcycle/training:1", "register": {"model": life.model}, "deadlineSeconds": 600}
    await life.create(kind, LAST, spec)  # its pod never ends
    await comes_to(life, lambda: "Succeeded=Unknown/Running" in conditions(life, kind, LAST), "it runs")
    await change(life, kind, LAST, spec | {"deadlineSeconds": 900})
    await comes_to(life, lambda: _job(life)["spec"]["activeDeadlineSeconds"] == 900, "its Job has longer")
    await change(life, kind, LAST, spec | {"deadlineSeconds": 900, "suspend": True})
    await comes_to(life, lambda: _job(life)["spec"]["suspend"], "its Job is suspended")
    await comes_to(life, lambda: "Suspended=True/Suspended" in conditions(life, kind, LAST), "it says so")
    finished = await life.informer.kube.get(kind, life.namespace, FIRST)
    assert finished is not None
    await change(life, kind, FIRST, finished["spec"] | {"ttlSecondsAfterFinished": 0})
    await comes_to(life, lambda: len(life.informer.all(life.namespace, JOB)) == 1, "the Job of the ended one is gone")


def _job(life: Life) -> Manifest:
    (job,) = (one for one in life.informer.all(life.namespace, JOB) if one["metadata"]["name"].startswith(LAST))
    return job
