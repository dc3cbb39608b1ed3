"""What befalls a deployment: no model, another's model, MLflow away, a namesake."""

from __future__ import annotations

import asyncio

import pytest

from modelcycle import constants as names
from modelcycle.cluster.kinds import DEPLOYMENT as APPS_DEPLOYMENT
from modelcycle.cluster.kinds import MODEL_DEPLOYMENT
from tests.crash.life import DEPLOYMENT, serve, train
from tests.crash.registry import tags
from tests.crash.sweep import Setting
from tests.integration.faults.told import deleted, told
from tests.support.lab.lab import Lab

# Watches that are cut off in the middle leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

API = "api/2.0/mlflow"


async def test_a_model_that_is_not_registered_yet_is_waited_for(here: Setting) -> None:
    life = here.life
    serving = asyncio.create_task(serve(life))
    waiting = ("True", "WaitingForModel")
    await life.until(lambda: life.reason(MODEL_DEPLOYMENT, DEPLOYMENT, "Progressing") == waiting, "it waits")
    assert life.reason(MODEL_DEPLOYMENT, DEPLOYMENT, "Degraded") == ("False", "AsExpected")
    await train(life)
    await serving


async def test_a_model_that_is_deleted_goes_on_being_served(lab: Lab, here: Setting) -> None:
    life = here.life
    await train(life)
    await serve(life)
    async with lab.session.delete(f"{lab.mlflow}/{API}/registered-models/delete", json={"name": life.model}) as answer:
        assert answer.status == 200
    says = ("is not in MLflow any more", "version 1 goes on serving")
    await told(lab, here, MODEL_DEPLOYMENT, DEPLOYMENT, "Degraded=True", "ModelNotFound", *says)
    assert life.reason(MODEL_DEPLOYMENT, DEPLOYMENT, "Ready") == ("True", "Serving")
    assert len(life.informer.all(life.namespace, APPS_DEPLOYMENT)) == 1


async def test_a_model_of_another_deployment_is_left_alone_until_that_one_is_gone(lab: Lab, here: Setting) -> None:
    life = here.life
    await train(life)
    await serve(life)
    await life.create(MODEL_DEPLOYMENT, "second", {"model": {"name": life.model}})
    says = ("belongs to deployment", "set spec.model.follow to true", "curl -s -X DELETE")
    await told(lab, here, MODEL_DEPLOYMENT, "second", "Stalled=True", "ModelClaimed", *says)
    await deleted(life, MODEL_DEPLOYMENT, DEPLOYMENT)
    await life.until(lambda: life.status(MODEL_DEPLOYMENT, "second").get("owner"), "the second owns the model")
    await life.until(lambda: life.reason(MODEL_DEPLOYMENT, "second", "Ready") == ("True", "Serving"), "it serves")


async def test_mlflow_down_when_an_alias_is_moved(lab: Lab, here: Setting) -> None:
    life = here.life
    await train(life)
    here.ledger.refuse = lambda sent: sent.path.endswith("registered-models/alias")
    serving = asyncio.create_task(serve(life))
    says = ("moving alias champion to version 1 waits for MLflow", "what serves goes on")
    await told(lab, here, MODEL_DEPLOYMENT, DEPLOYMENT, "Degraded=True", "RegistryUnavailable", *says)
    assert life.reason(MODEL_DEPLOYMENT, DEPLOYMENT, "Ready") == ("True", "Serving")
    here.ledger.refuse = lambda _sent: False
    await serving
    assert life.reason(MODEL_DEPLOYMENT, DEPLOYMENT, "Degraded") == ("False", "AsExpected")


async def test_a_deployment_that_is_made_again_claims_the_aliases_again(here: Setting) -> None:
    life = here.life
    await train(life)
    await serve(life)
    before = tags(await life.registry.registered())[names.TAG_OWNER]
    await deleted(life, MODEL_DEPLOYMENT, DEPLOYMENT)
    await serve(life)
    after = tags(await life.registry.registered())[names.TAG_OWNER]
    assert after != before
    workloads = [name for kind, name in life.informer.born(life.namespace) if kind == "Deployment"]
    assert len(workloads) == 2, "nothing of the former life is adopted"


async def test_a_deployment_that_is_made_again_while_it_begins(here: Setting) -> None:
    life = here.life
    await train(life)
    serving = asyncio.create_task(serve(life))
    await life.until(lambda: "candidate" in life.status(MODEL_DEPLOYMENT, DEPLOYMENT), "it has a candidate")
    serving.cancel()
    await deleted(life, MODEL_DEPLOYMENT, DEPLOYMENT)
    await serve(life)
    await life.until(lambda: len(life.informer.all(life.namespace, APPS_DEPLOYMENT)) == 1, "one life's pods")
