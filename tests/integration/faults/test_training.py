"""What befalls a training: a missing Secret, MLflow away, last words without bounds, a namesake."""

from __future__ import annotations

import asyncio
import json

import pytest

from modelcycle import constants as names
from modelcycle.cluster.kinds import CONFIG_MAP, JOB, MODEL_TRAINING
from modelcycle.core.names import child_name
from tests.crash.life import CODE, FIRST, IMAGE, Life, train, write_code
from tests.crash.registry import tags
from tests.crash.sweep import Setting
from tests.integration.faults.told import deleted, events, told
from tests.support.lab.kube import Manifest
from tests.support.lab.lab import Lab
from tests.support.lab.standins import Exit, Script

# Watches that are cut off in the middle leave sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")

STATUS_LIMIT = 64 * 1024
WORST = {
    "a traceback of a megabyte": "Traceback\n" + "x" * (1 << 20) + "\nValueError: the end",
    "four-byte characters": "\N{SNOWMAN}\N{PILE OF POO}" * 50_000 + " ValueError: the end",
    "control characters": "\x00\x1b[31m\x07" * 20_000 + "ValueError: the end",
}


def script(lab: Lab, here: Setting) -> Script:
    return lab.standins.scripts[here.life.namespace]


async def test_a_missing_secret_is_said_and_waited_for(lab: Lab, here: Setting) -> None:
    script(lab, here).waiting[FIRST] = "CreateContainerConfigError"
    training = asyncio.create_task(train(here.life))
    says = ('secret "vendor" not found', "goes on by itself when that is mended", "gives up at")
    await told(lab, here, MODEL_TRAINING, FIRST, "Succeeded=Unknown", "ConfigMissing", *says)
    del script(lab, here).waiting[FIRST]
    await training


async def test_mlflow_down_when_the_run_is_made(lab: Lab, here: Setting) -> None:
    here.ledger.refuse = lambda sent: sent.side == "mlflow"
    training = asyncio.create_task(train(here.life))
    says = ("waits for MLflow and goes on by itself",)
    await told(lab, here, MODEL_TRAINING, FIRST, "Succeeded=Unknown", "RegistryUnavailable", *says)
    assert not here.life.informer.all(here.life.namespace, JOB)
    here.ledger.refuse = lambda _sent: False
    await training
    assert len(await here.life.registry.runs()) == 1


async def test_mlflow_down_when_the_model_is_registered(lab: Lab, here: Setting) -> None:
    here.ledger.refuse = lambda sent: sent.side == "mlflow" and "model-versions/create" in sent.path
    training = asyncio.create_task(train(here.life))
    says = ("Registering the model waits for MLflow and goes on by itself",)
    await told(lab, here, MODEL_TRAINING, FIRST, "Succeeded=Unknown", "RegistryUnavailable", *says)
    here.ledger.refuse = lambda _sent: False
    await training
    assert len(await here.life.registry.versions()) == 1
    assert len(here.life.informer.born(here.life.namespace)["ModelTraining", FIRST]) == 1


@pytest.mark.parametrize("words", [pytest.param(words, id=name) for name, words in WORST.items()])
@pytest.mark.parametrize("form", ["plain", "ours"])
async def test_last_words_without_bounds_keep_the_status_within_its_own(
    lab: Lab, here: Setting, words: str, form: str
) -> None:
    document = {"modelcycle": 1, "class": "UserError", "message": words, "data": None}

    async def fail(_training: str, _run: str) -> Exit:
        return Exit(1, words if form == "plain" else json.dumps(document))

    script(lab, here).train = fail
    training = asyncio.create_task(train(here.life))
    says = ("ValueError: the end", "kubectl logs")
    await told(lab, here, MODEL_TRAINING, FIRST, "Succeeded=False", "UserError", *says, event="TrainingFailed")
    training.cancel()
    status = here.life.status(MODEL_TRAINING, FIRST)
    assert len(json.dumps(status, ensure_ascii=False).encode()) < STATUS_LIMIT
    assert "\x00" not in json.dumps(status, ensure_ascii=False)
    assert await events(here, FIRST, "UserError") == 1
    await here.life.registry.until_no_run_is_open(120)
    assert [run["info"]["status"] for run in await here.life.registry.runs()] == ["FAILED"]


async def test_a_training_that_is_made_again_while_it_runs_adopts_nothing(lab: Lab, here: Setting) -> None:
    life = here.life
    script(lab, here).hanging = frozenset({FIRST})
    training = asyncio.create_task(train(life))
    await life.until(lambda: life.reason(MODEL_TRAINING, FIRST, "Succeeded") == ("Unknown", "Running"), "it runs")
    training.cancel()
    await deleted(life, MODEL_TRAINING, FIRST)
    await life.until(lambda: not life.informer.all(life.namespace, JOB), "its Job is gone")
    script(lab, here).hanging = frozenset()
    await train(life)
    jobs = [name for kind, name in life.informer.born(life.namespace) if kind == "Job"]
    assert len(jobs) == 2
    await life.registry.until_no_run_is_open(120)
    assert sorted(run["info"]["status"] for run in await life.registry.runs()) == ["FINISHED", "KILLED"]
    assert len(await life.registry.versions()) == 1


async def another(life: Life, name: str) -> None:
    """One more training with the code as it is now."""
    await life.create(MODEL_TRAINING, name, {"image": IMAGE, "configMap": CODE, "register": {"model": life.model}})
    await life.until(
        lambda: life.reason(MODEL_TRAINING, name, "Succeeded") == ("True", "Registered"), f"{name} is trained"
    )


async def test_code_that_is_edited_is_another_code_from_the_next_training_on(lab: Lab, here: Setting) -> None:
    life = here.life
    edited = asyncio.Event()

    async def edit_while_it_runs(_training: str, _run: str) -> Exit:
        await write_code(life, "print('edited')")
        edited.set()
        return Exit(1, "the first attempt fails")

    script(lab, here).train = edit_while_it_runs
    training = asyncio.create_task(train(life, "print('first')", retries={"userErrors": 1}))
    await edited.wait()
    script(lab, here).train = None
    await training
    kube = life.informer.kube
    await another(life, "again")
    await write_code(life, "print('first')")
    await another(life, "back")
    first, again, back = (tags(one)[names.TAG_CODE] for one in await life.registry.versions())
    assert first == back != again, "the second attempt ran what the first did"
    uid = life.informer.find(life.namespace, MODEL_TRAINING, FIRST)["metadata"]["uid"]  # type: ignore[index]
    copy = await kube.get(CONFIG_MAP, life.namespace, child_name(FIRST, uid, "files"))
    assert copy
    assert (copy["data"], copy["immutable"]) == ({"train.py": "print('first')"}, True)


async def test_code_that_is_missing_is_said_and_waited_for(lab: Lab, here: Setting) -> None:
    life = here.life
    training = asyncio.create_task(another(life, FIRST))
    says = (f"there is no ConfigMap '{CODE}'", "goes on by itself when that is mended", "gives up at")
    await told(lab, here, MODEL_TRAINING, FIRST, "Succeeded=Unknown", "ConfigMissing", *says)
    assert not life.informer.all(life.namespace, JOB)
    await write_code(life, "print('late')")
    await training


async def test_a_training_that_was_registered_is_not_trained_again_unless_its_spec_differs(here: Setting) -> None:
    life = here.life
    await train(life)
    spec = life.informer.find(life.namespace, MODEL_TRAINING, FIRST)["spec"]  # type: ignore[index]
    await deleted(life, MODEL_TRAINING, FIRST)
    await life.create(MODEL_TRAINING, FIRST, spec)
    known = ("True", "AlreadyRegistered")
    await life.until(lambda: life.reason(MODEL_TRAINING, FIRST, "Succeeded") == known, "it is known")
    assert len([1 for kind, _ in life.informer.born(life.namespace) if kind == "Job"]) == 1
    assert await events(here, FIRST, "AlreadyRegistered") == 1
    await deleted(life, MODEL_TRAINING, FIRST)
    await life.create(MODEL_TRAINING, FIRST, spec | {"seed": 7})
    done = ("True", "Registered")
    await life.until(lambda: life.reason(MODEL_TRAINING, FIRST, "Succeeded") == done, "it is trained")
    assert len(await life.registry.versions()) == 2


async def test_a_corrected_script_is_trained_under_the_same_name(here: Setting) -> None:
    life = here.life
    await train(life, "print('wrong')")
    spec = life.informer.find(life.namespace, MODEL_TRAINING, FIRST)["spec"]  # type: ignore[index]
    assert await apply_again(life, spec, "print('right')") == ("True", "Registered")
    assert await apply_again(life, spec, "print('wrong')") == ("True", "AlreadyRegistered")
    assert len(await life.registry.versions()) == 2


async def apply_again(life: Life, spec: Manifest, code: str) -> tuple[str, str] | None:
    """What becomes of the same training, deleted and made again with this code in its ConfigMap."""
    await deleted(life, MODEL_TRAINING, FIRST)
    await write_code(life, code)
    await life.create(MODEL_TRAINING, FIRST, spec)
    ended = ("True", "False")
    await life.until(lambda: (life.reason(MODEL_TRAINING, FIRST, "Succeeded") or ("", ""))[0] in ended, "it has ended")
    return life.reason(MODEL_TRAINING, FIRST, "Succeeded")
