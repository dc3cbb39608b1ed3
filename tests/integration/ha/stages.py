"""Every stage that a model's deployment, its policy and its trainings can be found in; and how each of them goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from modelcycle.cluster.kinds import DEPLOYMENT as KUBE_DEPLOYMENT
from modelcycle.cluster.kinds import JOB, MODEL_DEPLOYMENT, MODEL_TRAINING, RETRAIN_POLICY
from modelcycle.constants import LABEL_COMPONENT
from tests.crash.life import DEPLOYMENT, IMAGE, POLICY, policy_spec, serve, train
from tests.integration.ha.worlds import World
from tests.support.lab.kube import Manifest

SECOND = "second"
TOO_FEW = ("Unknown", "TooFewRows")
Act = Callable[[World], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Stage:
    """``reach`` brings a world there, where it stays; ``leave`` lets it go on to its end, which has ``versions``."""

    reach: Act
    leave: Act
    versions: int


async def _first_version(here: World) -> None:
    here.script.held.add("serving")
    await train(here.life)
    await here.life.create(MODEL_DEPLOYMENT, DEPLOYMENT, {"model": {"name": here.life.model}, "replicas": 2})
    await here.life.until(lambda: here.life.informer.all(here.namespace, KUBE_DEPLOYMENT), "its first pods are wanted")


async def _let_first_version_go(here: World) -> None:
    here.script.held.clear()
    await _until_stable(here, "1")


async def _settled(here: World) -> None:
    await train(here.life)
    await serve(here.life)


async def _stays(here: World) -> None:
    await _until_stable(here, "1")


async def _watching(here: World) -> None:
    await _settled(here)
    life = here.life
    await life.create(RETRAIN_POLICY, POLICY, policy_spec())
    await life.until(lambda: life.reason(RETRAIN_POLICY, POLICY, "DriftDetected") == TOO_FEW, "the policy watches")


async def _pinned(here: World) -> None:
    await _watching(here)
    await _edit(here, {"model": {"version": "1"}})


async def _rolling(here: World) -> None:
    await _settled(here)
    register = {"model": here.life.model, "alias": "challenger"}
    await here.life.create(MODEL_TRAINING, SECOND, {"image": IMAGE, "register": register})
    await _until_candidate(here)


async def _paused(here: World) -> None:
    await _rolling(here)
    await _edit(here, {"rollout": {"paused": True}})


async def _unpause(here: World) -> None:
    await _edit(here, {"rollout": {"paused": False}})
    await _requests_come(here)


async def _fired(here: World) -> None:
    await _watching(here)
    here.life.prometheus.labelled(here.namespace, "1", rows=60, loss=9.0)


async def _cycle_trains(here: World) -> None:
    here.script.held.add("cycle")
    await _fired(here)
    await here.life.until(lambda: _cycle_reasons(here) == [("Unknown", "Running")], "the cycle's training runs")


async def _cycle_at_its_gate(here: World) -> None:
    here.script.held.add("gate")
    await _fired(here)
    await here.life.until(lambda: _gates(here), "the gate's Job is made")


async def _cycle_rolls_out(here: World) -> None:
    await _fired(here)
    await _until_candidate(here)


async def _cycle_done(here: World) -> None:
    await _cycle_rolls_out(here)
    await _requests_come(here)
    life = here.life
    await life.until(lambda: life.status(RETRAIN_POLICY, POLICY).get("history"), "the cycle has ended")


async def _let_cycle_go(here: World) -> None:
    here.script.held.clear()
    await _until_candidate(here)
    await _requests_come(here)


async def _requests_come(here: World) -> None:
    here.life.prometheus.served(here.namespace, "2", requests=100)
    await _until_stable(here, "2")


async def _stays_at_second(here: World) -> None:
    await _until_stable(here, "2")


STAGES: Mapping[str, Stage] = {
    "first-version": Stage(_first_version, _let_first_version_go, 1),
    "settled": Stage(_settled, _stays, 1),
    "watching": Stage(_watching, _stays, 1),
    "pinned": Stage(_pinned, _stays, 1),
    "rolling": Stage(_rolling, _requests_come, 2),
    "paused": Stage(_paused, _unpause, 2),
    "cycle-trains": Stage(_cycle_trains, _let_cycle_go, 2),
    "cycle-gate": Stage(_cycle_at_its_gate, _let_cycle_go, 2),
    "cycle-rollout": Stage(_cycle_rolls_out, _requests_come, 2),
    "cycle-done": Stage(_cycle_done, _stays_at_second, 2),
}


async def _edit(here: World, spec: Manifest) -> None:
    """Change the deployment, and wait until the operator has seen it."""
    life = here.life
    edited = await life.informer.kube.patch(MODEL_DEPLOYMENT, here.namespace, DEPLOYMENT, {"spec": spec})
    wanted = edited["metadata"]["generation"]
    await life.until(
        lambda: life.status(MODEL_DEPLOYMENT, DEPLOYMENT).get("observedGeneration") == wanted, "the edit is seen"
    )


async def _until_candidate(here: World) -> None:
    def step() -> bool:
        return bool(here.life.status(MODEL_DEPLOYMENT, DEPLOYMENT).get("candidate", {}).get("stepName") == "half")

    await here.life.until(step, "version 2 gets live requests")


async def _until_stable(here: World, version: str) -> None:
    def stable() -> bool:
        status = here.life.status(MODEL_DEPLOYMENT, DEPLOYMENT)
        return bool(status.get("stable", {}).get("version") == version and "candidate" not in status)

    await here.life.until(stable, f"version {version} is stable")


def _cycle_reasons(here: World) -> list[tuple[str, str] | None]:
    """What the trainings that the policy made say."""
    names = [one["metadata"]["name"] for one in here.life.informer.all(here.namespace, MODEL_TRAINING)]
    made = [name for name in names if name.startswith(f"{POLICY}-")]
    return [here.life.reason(MODEL_TRAINING, name, "Succeeded") for name in made]


def _gates(here: World) -> list[Manifest]:
    jobs = here.life.informer.all(here.namespace, JOB)
    return [one for one in jobs if one["metadata"]["labels"][LABEL_COMPONENT] != "training"]
