"""What befalls a policy: Prometheus away, a second policy, no deployment, a namesake."""

from __future__ import annotations

import asyncio

import pytest

from modelcycle.cluster.kinds import MODEL_DEPLOYMENT, MODEL_TRAINING, RETRAIN_POLICY
from tests.crash.life import DEPLOYMENT, POLICY, cycle_trainings, policy_spec, retrain, serve, train
from tests.crash.sweep import Setting
from tests.integration.faults.told import deleted, told
from tests.support.lab.lab import Lab

# Watches that are cut off in the middle leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


async def test_prometheus_down_is_said_and_fires_nothing(lab: Lab, here: Setting) -> None:
    life = here.life
    await train(life)
    await serve(life)
    lab.prometheus.down.add(life.namespace)
    await life.create(RETRAIN_POLICY, POLICY, policy_spec())
    await told(lab, here, RETRAIN_POLICY, POLICY, "DriftDetected=Unknown", "MetricsUnavailable", "can't be told: loss")
    assert life.reason(RETRAIN_POLICY, POLICY, "Ready") == ("True", "Watching")
    lab.prometheus.down.clear()
    few = ("Unknown", "TooFewRows")
    await life.until(lambda: life.reason(RETRAIN_POLICY, POLICY, "DriftDetected") == few, "it watches again")


async def test_a_policy_without_its_deployment_says_so_and_waits(lab: Lab, here: Setting) -> None:
    life = here.life
    await life.create(RETRAIN_POLICY, POLICY, policy_spec())
    says = (f"there is no ModelDeployment '{DEPLOYMENT}'",)
    await told(lab, here, RETRAIN_POLICY, POLICY, "Stalled=True", "DeploymentMissing", *says)
    await life.create(MODEL_DEPLOYMENT, DEPLOYMENT, {"model": {"name": life.model}})
    await life.until(lambda: life.reason(RETRAIN_POLICY, POLICY, "Ready") == ("True", "Watching"), "it watches")


async def test_of_two_policies_the_younger_stays_out_until_the_elder_is_gone(lab: Lab, here: Setting) -> None:
    life = here.life
    await life.create(MODEL_DEPLOYMENT, DEPLOYMENT, {"model": {"name": life.model}})
    await life.create(RETRAIN_POLICY, POLICY, policy_spec())
    await asyncio.sleep(1.1)  # creation times have no fractions
    await life.create(RETRAIN_POLICY, "younger", policy_spec())
    says = (f"RetrainPolicy '{POLICY}' is older", "delete one of the two")
    await told(lab, here, RETRAIN_POLICY, "younger", "Stalled=True", "AnotherPolicy", *says)
    await life.until(lambda: life.reason(RETRAIN_POLICY, POLICY, "Ready") == ("True", "Watching"), "the elder works")
    await deleted(life, RETRAIN_POLICY, POLICY)
    await life.until(lambda: life.reason(RETRAIN_POLICY, "younger", "Ready") == ("True", "Watching"), "it works")


async def test_a_policy_that_is_made_again_in_mid_cycle_starts_a_cycle_of_its_own(lab: Lab, here: Setting) -> None:
    life = here.life
    await train(life)
    await serve(life)
    cycle = asyncio.create_task(retrain(life))
    await life.until(lambda: cycle_trainings(life), "the cycle has a training")
    cycle.cancel()
    before = cycle_trainings(life)
    await deleted(life, RETRAIN_POLICY, POLICY)
    await life.create(RETRAIN_POLICY, POLICY, policy_spec())
    await life.until(lambda: len(cycle_trainings(life)) == 2, "the new policy has a training of its own")
    await life.until(
        lambda: all(
            life.reason(MODEL_TRAINING, name, "Succeeded") == ("True", "Registered") for name in cycle_trainings(life)
        ),
        "what the former one had trained outlives it",
    )
    assert set(before) < set(cycle_trainings(life))
