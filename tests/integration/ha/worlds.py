"""Namespaces that are full of life: a model with its deployment and its policy, and a fleet of trainings beside it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

from modelcycle.cluster.kinds import MODEL_TRAINING, NAMESPACE
from modelcycle.constants import TAG_TRAINING
from tests.crash.life import IMAGE, POLICY, Life, retrain, serve, train
from tests.crash.oracle import Picture, picture
from tests.crash.proxy import Done, Ledger
from tests.crash.registry import RegistryView, tags
from tests.integration.ha.journal import Entry
from tests.support.lab.lab import Lab
from tests.support.lab.standins import Exit, Script

PATIENCE_SECONDS = 600.0  # of whoever waits while the leader is killed again and again
ALL = os.environ.get("MODELCYCLE_HA") == "all"
BAD, LATER, HANGS, WAITS = "fleet-bad", "fleet-later", "fleet-hangs", "fleet-waits"
GOOD = ("fleet-one", "fleet-two", "fleet-three") if ALL else ("fleet-one",)
FLEET = (*GOOD, BAD, LATER, HANGS, WAITS)


class PatientLife(Life):
    async def until(self, condition: Callable[[], Any], what: str, seconds: float | None = None) -> Any:
        return await super().until(condition, what, PATIENCE_SECONDS)


class FleetScript(Script):
    """``held``: also "cycle": the trainings of the policy run on until the entry is taken away."""

    async def run(self, training: str, run_id: str) -> Exit:
        while training.startswith(f"{POLICY}-") and "cycle" in self.held:  # noqa: ASYNC110 (a test takes it out)
            await asyncio.sleep(0.1)
        if training.endswith("bad"):
            return Exit(1, json.dumps({"modelcycle": 1, "class": "UserError", "message": "no rows", "data": None}))
        return await super().run(training, run_id)


@dataclass(frozen=True)
class World:
    """``fleet``: what is in the registry of each training of the fleet: they share an experiment, and no model."""

    life: Life
    fleet: Mapping[str, RegistryView]
    script: Script

    @property
    def namespace(self) -> str:
        return self.life.namespace


async def world(lab: Lab, namespace: str) -> World:
    await lab.kube.create({"apiVersion": "v1", "kind": NAMESPACE.name, "metadata": {"name": namespace}})
    waiting = {WAITS: "CreateContainerConfigError"}
    script = FleetScript(lab.mlflow, hanging=frozenset({HANGS}), waiting=waiting)
    lab.standins.scripts[namespace] = script
    model = f"{namespace}.hedge"
    view = RegistryView(lab.session, lab.mlflow, model, f"{namespace}/{model}")
    fleet = {name: RegistryView(lab.session, lab.mlflow, f"{namespace}.{name}", f"{namespace}/fleet") for name in FLEET}
    return World(PatientLife(namespace, lab.informer, lab.prometheus, view), fleet, script)


async def launch(here: World) -> None:
    """Make the trainings of the fleet."""
    for name, view in here.fleet.items():
        spec = {"image": IMAGE, "register": {"model": view.model}, "experiment": view.experiment}
        await here.life.create(MODEL_TRAINING, name, spec | ({"suspend": True} if name == LATER else {}))


async def until_fleet_is_in(here: World) -> None:
    """Each of its trainings is where it stays."""
    wanted = {
        **dict.fromkeys(GOOD, ("True", "Registered")),
        BAD: ("False", "UserError"),
        LATER: ("Unknown", "Suspended"),
        HANGS: ("Unknown", "Running"),
        WAITS: ("Unknown", "ConfigMissing"),
    }

    def found() -> dict[str, tuple[str, str] | None]:
        return {name: here.life.reason(MODEL_TRAINING, name, "Succeeded") for name in wanted}

    await here.life.until(lambda: found() == wanted, f"the fleet of {here.namespace} is {wanted}")


async def live(here: World) -> None:
    """From the first training to the second version, which a policy trained; the fleet beside it."""
    await asyncio.gather(launch(here), _live(here.life))
    await until_fleet_is_in(here)


async def _live(life: Life) -> None:
    await train(life)
    await serve(life)
    await retrain(life)


async def picture_of(here: World, writes: Sequence[Entry]) -> Picture:
    """All that must be the same in each world, whatever befell the replicas."""
    done = [
        Done("", 0, entry.sent, entry.status or 599)
        for entry in writes
        if entry.sent.side != "mlflow" or f'"{here.life.model}"'.encode() in entry.sent.body
    ]
    fleet = {
        "fleet's runs": sorted(_run(run) for run in await here.fleet[BAD].runs()),
        "fleet's versions": {name: len(await view.versions()) for name, view in here.fleet.items()},
    }
    return await picture(here.life, cast("Ledger", SimpleNamespace(done=done)), "retrain") | fleet


def _run(run: dict[str, Any]) -> str:
    training = tags(run)[TAG_TRAINING].rpartition("/")[2]
    return f"{training} {run['info']['status']} {run['info']['lifecycle_stage']}"
