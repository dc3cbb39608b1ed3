"""The life cycle of a model as its user lives it, part by part; each part ends when all has come to rest."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from modelcycle.api.v1alpha1.common import API_VERSION
from modelcycle.cluster.kinds import CONFIG_MAP, JOB, MODEL_DEPLOYMENT, MODEL_TRAINING, OURS, RETRAIN_POLICY, Kind
from tests.crash.registry import RegistryView
from tests.support.lab.informer import Informer
from tests.support.lab.kube import Manifest
from tests.support.lab.metrics import FakePrometheus

_DATA = {"name": "market", "path": "/data", "persistentVolumeClaim": {"claimName": "market"}}
IMAGE = "localhost/modelcycle/training:1"
FIRST, LAST, DEPLOYMENT, POLICY, CODE = "first", "last", "hedge", "watch", "code"


@dataclass(frozen=True)
class Life:
    """One case's view of its namespace, and what its user does in it. ``patience``: seconds that a step may take."""

    namespace: str
    informer: Informer
    prometheus: FakePrometheus
    registry: RegistryView
    patience: float = 300.0

    @property
    def model(self) -> str:
        return f"{self.namespace}.hedge"

    async def create(self, kind: Kind, name: str, spec: Manifest) -> None:
        metadata = {"namespace": self.namespace, "name": name}
        manifest = {"apiVersion": API_VERSION, "kind": kind.name, "metadata": metadata, "spec": spec}
        await self.informer.kube.create(manifest)

    def status(self, kind: Kind, name: str) -> Manifest:
        return dict((self.informer.find(self.namespace, kind, name) or {}).get("status", {}))

    def reason(self, kind: Kind, name: str, type_: str) -> tuple[str, str] | None:
        """Status and reason of a condition."""
        found = [one for one in self.status(kind, name).get("conditions", ()) if one["type"] == type_]
        return (found[0]["status"], found[0]["reason"]) if found else None

    async def until(self, condition: Callable[[], Any], what: str, seconds: float | None = None) -> Any:
        """The first result that is true. Raises AssertionError with what each resource says of itself."""
        try:
            return await self.informer.until(self.namespace, condition, what, seconds or self.patience)
        except AssertionError as error:
            raise AssertionError("\n      ".join([str(error), *self._summaries()])) from error

    def _summaries(self) -> list[str]:
        resources = [one for kind in OURS for one in self.informer.all(self.namespace, kind)]
        return [f"{one['metadata']['name']}: {one.get('status', {}).get('summary')}" for one in resources]


async def write_code(life: Life, script: str) -> None:
    """The ConfigMap with the code of the first training."""
    kube, metadata = life.informer.kube, {"namespace": life.namespace, "name": CODE}
    if await kube.get(CONFIG_MAP, life.namespace, CODE) is None:
        await kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"train.py": script}})
    else:
        await kube.patch(CONFIG_MAP, life.namespace, CODE, {"data": {"train.py": script}})


async def train(life: Life, script: str = "print('hedge')", **spec: Any) -> None:
    """A training registers the first version as challenger."""
    await write_code(life, script)
    register = {"model": life.model, "alias": "challenger"}
    await life.create(MODEL_TRAINING, FIRST, {"image": IMAGE, "configMap": CODE, "register": register} | spec)
    await life.until(lambda: _trained(life, FIRST), "the training has succeeded, and its run is ended")


async def serve(life: Life) -> None:
    """A deployment claims the model, and its first version becomes champion."""
    steps = [
        {"name": "smoke", "smoke": {}},
        {"name": "half", "replicas": {"percent": 50, "minRequests": 20, "maxWait": "10m"}},
    ]
    await life.create(
        MODEL_DEPLOYMENT, DEPLOYMENT, {"model": {"name": life.model}, "replicas": 2, "rollout": {"steps": steps}}
    )
    await life.until(lambda: _serves(life, "1"), "version 1 is champion, and nothing is under way")


def policy_spec() -> Manifest:
    """A policy that fires when the mean loss of 40 rows is above 1."""
    loss = {"window": {"rows": 40}, "reference": "Absolute", "bound": "1"}
    data = {"source": "market", "file": "table.csv", "timeColumn": "date", "labelColumn": "oil"}
    return {
        "deployment": {"name": DEPLOYMENT},
        "mode": "Enforce",
        "triggers": [{"name": "loss", "loss": loss}],
        "gate": {"data": data},
        "template": {"image": IMAGE, "data": [_DATA]},
    }


async def retrain(life: Life) -> None:
    """The loss rises, the policy trains, the gate passes, the second version is rolled out."""
    await life.create(RETRAIN_POLICY, POLICY, policy_spec())
    unknown = ("Unknown", "TooFewRows")
    await life.until(lambda: life.reason(RETRAIN_POLICY, POLICY, "DriftDetected") == unknown, "the policy watches")
    life.prometheus.labelled(life.namespace, "1", rows=60, loss=9.0)
    await life.until(lambda: _candidate(life).get("stepName") == "half", "version 2 gets live requests")
    life.prometheus.served(life.namespace, "2", requests=100)
    await life.until(lambda: _serves(life, "2"), "version 2 is champion, and nothing is under way")
    await life.until(lambda: life.status(RETRAIN_POLICY, POLICY).get("history"), "the cycle has ended")
    too_few = ("Unknown", "TooFewRows")
    await life.until(lambda: life.reason(RETRAIN_POLICY, POLICY, "DriftDetected") == too_few, "version 2 is watched")
    name = next(iter(cycle_trainings(life)))
    await life.until(lambda: _trained(life, name), "the cycle's training has ended its run")


async def roll_back(life: Life) -> None:
    """A person gives the champion alias back to version 1: the deployment follows, and does not roll forward again."""
    await life.registry.point("champion", "1")
    await life.until(lambda: _serves(life, "1"), "version 1 serves again, and nothing is under way")
    too_few = ("Unknown", "TooFewRows")
    await life.until(lambda: life.reason(RETRAIN_POLICY, POLICY, "DriftDetected") == too_few, "version 1 is watched")


async def remove(life: Life) -> None:
    """Everything is deleted while one more training runs; its run is ended all the same."""
    await life.create(MODEL_TRAINING, LAST, {"image": IMAGE, "register": {"model": life.model}})
    await life.until(lambda: _state(life, LAST) == "Running", "the last training runs")
    for kind in (RETRAIN_POLICY, MODEL_DEPLOYMENT, MODEL_TRAINING):
        for one in life.informer.all(life.namespace, kind):
            await life.informer.kube.delete(kind, life.namespace, one["metadata"]["name"])
    await life.until(lambda: not _left(life), "everything is gone")
    await life.registry.until_no_run_is_open(life.patience)


PARTS: tuple[tuple[str, Callable[[Life], Awaitable[None]]], ...] = (
    ("train", train),
    ("serve", serve),
    ("retrain", retrain),
    ("roll back", roll_back),
    ("remove", remove),
)


def cycle_trainings(life: Life) -> list[str]:
    """Trainings that the policy made."""
    trainings = life.informer.all(life.namespace, MODEL_TRAINING)
    return [one["metadata"]["name"] for one in trainings if one["metadata"]["name"] not in (FIRST, LAST)]


def _trained(life: Life, name: str) -> bool:
    run = life.status(MODEL_TRAINING, name).get("run", {})
    return life.reason(MODEL_TRAINING, name, "Succeeded") == ("True", "Registered") and bool(run.get("ended"))


def _state(life: Life, name: str) -> str:
    attempts = life.status(MODEL_TRAINING, name).get("attempts") or [{}]
    return str(attempts[-1].get("state"))


def _candidate(life: Life) -> Manifest:
    return dict(life.status(MODEL_DEPLOYMENT, DEPLOYMENT).get("candidate", {}))


def _serves(life: Life, version: str) -> bool:
    status = life.status(MODEL_DEPLOYMENT, DEPLOYMENT)
    settled = life.reason(MODEL_DEPLOYMENT, DEPLOYMENT, "Progressing") == ("False", "Settled")
    recorded = all(one.get("recorded") for one in status.get("verdicts", ()))
    return bool(settled and recorded and status.get("stable", {}).get("version") == version and not _retiring(status))


def _retiring(status: Manifest) -> bool:
    return bool(status.get("retiring") or status.get("aliasMoves") or "candidate" in status)


def _left(life: Life) -> list[Manifest]:
    return [one for kind in (*OURS, JOB) for one in life.informer.all(life.namespace, kind)]
