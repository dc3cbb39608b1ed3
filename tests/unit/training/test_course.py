"""The course of the attempts: started, watched, kept from starting, suspended, lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from modelcycle.api.v1alpha1.training import AttemptState, KeptCode
from modelcycle.core.observed import ContainerView
from modelcycle.core.plan import Outcome
from modelcycle.registry.port import RegisterModel
from modelcycle.training.effects import KeepConfigMap
from tests.unit.training.world import NOW, VERSION, World, running


@pytest.mark.parametrize(
    "job",
    [
        pytest.param({"active": 1}, id="that is starting"),
        pytest.param({"complete": True, "completion_time": NOW}, id="that is complete by now"),
        pytest.param({"failed": True, "failed_reason": "BackoffLimitExceeded"}, id="that has failed by now"),
    ],
)
def test_a_job_that_the_status_missed_is_told_like_one_that_it_did_not(job: dict[str, Any]) -> None:
    world = World()
    while not world.applied:
        before = world.status
        world.step()
    world.status, world.events = before, []
    world.see_job(1, **job)
    world.see_pod(1, "Pending" if "active" in job else "Succeeded")
    while not world.status.attempts:
        plan = world.step()
    assert world.events[0] == "AttemptStarted"
    assert plan.status.start_time == NOW
    assert [attempt.number for attempt in plan.status.attempts] == [1]
    world.settle()
    assert world.events.count("AttemptStarted") == 1


@pytest.mark.parametrize("end", [{"complete": True}, {"failed": True, "failed_reason": "BackoffLimitExceeded"}])
def test_a_job_that_ended_is_judged_when_its_pod_has_had_its_last_word(end: dict[str, Any]) -> None:
    world = running(World())
    world.see_job(1, **end)
    plan = world.step()
    assert plan.look_again == timedelta(seconds=2)
    assert world.reason() == "Unknown/Running"
    message = '{"modelcycle": 1, "class": "DataError", "message": "no rows", "data": {"digest": "d1", "rows": 5}}'
    phase, code = ("Succeeded", 0) if "complete" in end else ("Failed", 1)
    world.see_pod(1, phase, ContainerView("train", exit_code=code, terminated_message=message))
    world.settle()
    assert world.reason() in ("True/Registered", "False/DataError")
    assert world.status.data is not None


def test_a_job_whose_time_is_over_is_judged_while_its_pod_still_runs() -> None:
    world = running(World())
    world.see_job(1, failed=True, failed_reason="DeadlineExceeded")
    world.settle()
    assert world.reason() == "False/DeadlineExceeded"


def test_a_pod_that_has_ended_does_not_look_as_if_it_were_starting() -> None:
    world = running(World())
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    world.step()
    assert world.status.attempts[-1].state is AttemptState.RUNNING
    assert world.reason() == "Unknown/Running"


@pytest.mark.parametrize(
    ("pod", "job", "spec", "later", "told"),
    [
        pytest.param(True, {}, {}, 0, True, id="it has a pod"),
        pytest.param(False, {}, {}, 9, False, id="its pod is about to come"),
        pytest.param(False, {}, {}, 10, True, id="no pod comes"),
        pytest.param(False, {"failed": True}, {}, 0, True, id="it failed"),
        pytest.param(False, {}, {"suspend": True}, 0, True, id="it is to get no pod"),
    ],
)
def test_an_attempt_is_told_as_soon_as_it_has_a_pod(
    pod: bool, job: dict[str, Any], spec: dict[str, Any], later: int, told: bool
) -> None:
    world = World()
    world.pods_come = pod
    while not world.applied:
        world.step()
    world.see_job(1, run_id="run1", **job)
    world.spec = world.spec.evolve(**spec)
    world.now += timedelta(seconds=later)
    plan = world.step()
    events = [event.reason for event in plan.events]
    assert ([attempt.number for attempt in plan.status.attempts], events[:1]) == (
        ([1], ["AttemptStarted"]) if told else ([], [])
    )
    assert told or plan.look_again == timedelta(seconds=10 - later)


@pytest.mark.parametrize(
    ("rush", "pod", "later", "written", "told"),
    [
        pytest.param(False, False, 9, [], ["AttemptStarted", "Registered"], id="its pod came and went"),
        pytest.param(True, False, 9, [], ["Registered"], id="one of many whose pod came and went"),
        pytest.param(True, True, 29, [], ["Registered"], id="one of many"),
        pytest.param(
            True,
            True,
            30,
            ["Attempt 1 runs on node node-1."],
            ["AttemptStarted", "Registered"],
            id="one of many, and it lasts",
        ),
    ],
)
def test_what_is_over_in_a_moment_is_told_with_its_end(
    rush: bool, pod: bool, later: int, written: list[str], told: list[str]
) -> None:
    """``later``: seconds after its Job was made that its pod is seen to run, if ever."""
    world, seen = World(), []
    world.rush, world.pods_come = rush, False
    while not world.applied:
        world.step()
    if pod:
        world.see_pod(1, "Running", ContainerView("train", running=True, started_at=NOW))
        world.now += timedelta(seconds=later)
        world.step()
        seen = [world.status.summary] if world.status.summary else []
    assert seen == written
    world.answers[RegisterModel] = Outcome(world.now, VERSION)
    world.see_job(1, run_id="run1", complete=True, completion_time=world.now)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0, started_at=NOW, finished_at=world.now))
    plans = [world.step() for _ in range(9)]
    statuses = [plan.status for plan in plans]
    assert len(set(map(repr, statuses))) == 2, "one write, of the end"
    assert world.reason() == "True/Registered"
    assert world.events == told
    assert [attempt.state for attempt in world.status.attempts] == [AttemptState.SUCCEEDED]


ENDED = {"exit_code": 0, "finished_at": NOW}
READ = '{"modelcycle": 1, "class": null, "message": "", "data": {"digest": "d1", "rows": 5}}'


@pytest.mark.parametrize(
    ("container", "later", "reason"),
    [
        pytest.param({"running": True}, 4, "Unknown/Pending", id="it may be over in a moment"),
        pytest.param({"running": True}, 5, "Unknown/Running", id="it runs"),
        pytest.param(ENDED, 29, "Unknown/Pending", id="its Job is about to end"),
        pytest.param(ENDED, 30, "Unknown/Running", id="its Job does not end"),
        pytest.param(ENDED | {"exit_code": 1}, 1, "Unknown/Running", id="only its pod knows that it ran"),
        pytest.param(ENDED | {"terminated_message": READ}, 1, "Unknown/Running", id="only its pod knows what it read"),
    ],
)
def test_that_it_runs_is_told_when_it_lasts(container: dict[str, Any], later: int, reason: str) -> None:
    world = World()
    world.settle()
    world.see_job(1, active=1)
    world.see_pod(1, "Running", ContainerView("train", started_at=NOW, **container))
    world.now = NOW + timedelta(seconds=later)
    plan = world.step()
    assert world.reason() == reason
    assert plan.look_again is not None or reason == "Unknown/Running"


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        pytest.param({"unschedulable": "0/1 nodes: insufficient gpu"}, "Unschedulable", id="no node has the GPU"),
        pytest.param({"waiting": ("ImagePullBackOff", "not found")}, "ImageUnavailable", id="the image does not exist"),
        pytest.param(
            {"waiting": ("CreateContainerConfigError", "secret x")}, "ConfigMissing", id="a Secret is missing"
        ),
    ],
)
def test_what_can_not_start_says_why_waits_and_then_gives_up(pod: dict[str, Any], reason: str) -> None:
    world = World(pendingDeadlineSeconds=60)
    world.settle()
    world.see_job(1, active=1)
    waiting = pod.pop("waiting", (None, None))
    world.see_pod(1, "Pending", ContainerView("train", waiting_reason=waiting[0], waiting_message=waiting[1]), **pod)
    plan = world.settle()
    assert world.reason() == f"Unknown/{reason}"
    assert plan.look_again == timedelta(seconds=60)
    world.now += timedelta(seconds=61)
    world.settle()
    assert world.reason() == f"False/{reason}"
    assert world.deleted[0] == "hedge-11111-1"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({"deadlineSeconds": 20}, "12:00:20Z (deadlineSeconds)", id="the Job ends first"),
        pytest.param(
            {"deadlineSeconds": 1800, "pendingDeadlineSeconds": 60},
            "12:01:00Z (pendingDeadlineSeconds)",
            id="it is not waited for that long",
        ),
        pytest.param({"deadlineSeconds": 1800}, "12:30:00Z (deadlineSeconds)", id="as in the samples"),
    ],
)
def test_it_says_which_of_the_two_deadlines_comes_first(spec: dict[str, Any], said: str) -> None:
    world = World(**spec)
    world.settle()
    world.see_job(1, active=1, deadline=spec["deadlineSeconds"])
    world.see_pod(1, "Pending", unschedulable="no node")
    world.settle()
    assert f"gives up at {said}" in world.status.summary


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        pytest.param({}, "asks for 500m CPU, 1Gi memory", id="the default"),
        pytest.param(
            {"cpu": "2", "memory": "8Gi", "gpu": 1, "ephemeralStorage": "20Gi"},
            "asks for 2 CPU, 8Gi memory, 20Gi ephemeral storage, 1 GPU",
            id="all",
        ),
    ],
)
def test_what_finds_no_node_says_what_it_asks_for(resources: dict[str, Any], said: str) -> None:
    world = World(resources=resources)
    world.settle()
    world.see_job(1, active=1)
    world.see_pod(1, "Pending", unschedulable="0/1 nodes are available: 1 Insufficient cpu.")
    world.settle()
    assert f"0/1 nodes are available: 1 Insufficient cpu (it {said}). It goes on" in world.status.summary


def test_what_was_blocked_goes_on_by_itself() -> None:
    world = World()
    world.settle()
    world.see_job(1, active=1)
    world.see_pod(1, "Pending", unschedulable="no node")
    world.settle()
    world.see_pod(1)
    world.settle()
    assert world.reason() == "Unknown/Running"
    assert world.status.blocked_since is None


@pytest.mark.parametrize(
    ("exit_code", "said"),
    [pytest.param(0, "True/Registered", id="well"), pytest.param(1, "Unknown/Retrying", id="badly")],
)
@pytest.mark.parametrize("held", ["no node", "spec.suspend"])
def test_what_was_held_and_then_is_over_in_a_moment_is_not_said_to_be_held(
    held: str, exit_code: int, said: str
) -> None:
    world = World(retries={"userErrors": 1})
    world.settle()
    world.see_job(1, active=1, suspended=held == "spec.suspend")
    world.see_pod(1, "Pending", unschedulable="no node")
    world.spec = world.spec.evolve(suspend=held == "spec.suspend")
    world.settle()
    assert (world.status.blocked_since or world.status.suspended_since) == NOW
    world.spec = world.spec.evolve(suspend=False)
    if exit_code:
        world.fail(1, exit_code=exit_code)
    else:
        world.see_job(1, complete=True)
        world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0, finished_at=world.now))
    world.settle()
    assert world.reason() == said
    status = world.status
    assert (status.blocked_since, status.blocked_reason, status.suspended_since) == (None, None, None)


def test_a_job_without_a_pod_for_a_minute_says_where_to_look() -> None:
    world = World()
    world.pods_come = False
    world.settle()
    world.now += timedelta(seconds=61)
    world.settle()
    assert world.reason() == "Unknown/ConfigMissing"
    assert "kubectl describe job" in world.status.summary


def test_suspended_while_it_runs_keeps_the_job_and_resumes_it() -> None:
    world = running(World())
    world.spec = world.spec.evolve(suspend=True)
    world.settle()
    assert world.job_spec(1)["suspend"] is True
    assert world.deleted == []
    world.spec = world.spec.evolve(suspend=False)
    world.settle()
    assert world.job_spec(1)["suspend"] is False
    assert len(world.applied) == 1


def test_a_later_deadline_reaches_the_job_that_runs_and_leaves_its_template_alone() -> None:
    """The API server refuses a Job with another template: every pass would fail until the attempt ends."""
    world = running(World(deadlineSeconds=1000))
    made = world.job_spec(1)
    world.jobs = (replace(world.jobs[0], deadline=1000, told_deadline=1000),)
    assert world.step().apply == (), "nothing that may be changed differs"
    world.spec = world.spec.evolve(deadline_seconds=2000)
    world.step()
    assert world.job_spec(1)["activeDeadlineSeconds"] == 2000
    assert world.job_spec(1)["template"] == made["template"]


def test_a_job_that_somebody_deleted_costs_an_attempt_not_the_training() -> None:
    world = running(World())
    world.jobs, world.pods = (), ()
    world.now += timedelta(minutes=1)
    world.settle()
    assert world.reason() == "Unknown/Retrying"
    world.now += timedelta(minutes=5)
    world.settle()
    assert "hedge-11111-2" in world.applied


def test_a_crash_between_job_and_status_starts_no_second_job() -> None:
    world = World()
    while not world.applied:
        before = world.status
        world.step()
    world.status = before  # the Job was made, and the operator died before it wrote the status
    world.see_job(1, active=1)
    world.settle()
    assert list(world.applied) == ["hedge-11111-1"]
    assert [attempt.number for attempt in world.status.attempts] == [1]


def test_the_deadline_counts_all_attempts() -> None:
    world = running(World(deadlineSeconds=1000, retries={"disruptions": 10}))
    world.now += timedelta(seconds=400)
    world.fail(1, exit_code=143)
    # Its Job began 400 seconds ago.
    world.jobs = tuple(replace(job, start_time=NOW) for job in world.jobs)
    world.settle()
    assert world.status.running_seconds == 400
    world.now += timedelta(seconds=10)
    world.settle()
    assert world.applied["hedge-11111-2"]["spec"]["activeDeadlineSeconds"] == 600


def test_attempts_are_kept_to_the_latest_twenty() -> None:
    world = running(World(retries={"disruptions": 100}))
    for number in range(1, 26):
        world.fail(number, exit_code=143)
        world.settle(2)
        world.now += timedelta(minutes=10)
        world.settle(2)
        world.see_job(number + 1, active=1)
    assert len(world.status.attempts) == 20
    assert len(world.status.failures) == 25
    assert world.status.attempts[-1].state in {AttemptState.PENDING, AttemptState.FAILED}


# --- what it takes from ConfigMaps -----------------------------------------------------------------------------------
CONFIGURED: dict[str, Any] = {
    "configMap": "code",
    "env": [{"name": "REGION", "configMapKeyRef": {"name": "site", "key": "region"}}],
}
KEPT = Outcome(NOW, "c" * 64)


def workspace(world: World, number: int) -> tuple[str, dict[str, Any]]:
    """Name of the ConfigMap whose files the attempt sees, and where its variable comes from."""
    pod = world.job_spec(number)["template"]["spec"]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "workspace")
    variable = next(one for one in pod["containers"][0]["env"] if one["name"] == "REGION")
    return volume["configMap"]["name"], variable["valueFrom"]["configMapKeyRef"]


def test_config_maps_are_copied_before_the_first_attempt_and_known_with_it() -> None:
    world = World(**CONFIGURED)
    world.answers[KeepConfigMap] = KEPT
    while not world.status.attempts:
        assert world.status.run is None
        plan = world.step()
    assert plan.status.code == KeptCode(files="c" * 64, variables="c" * 64)
    world.settle()
    assert workspace(world, 1) == ("hedge-11111-files", {"name": "hedge-11111-variables", "key": "REGION"})
    assert sum(isinstance(effect, KeepConfigMap) for effect in world.asked) == 2


def test_all_attempts_see_the_same_copies() -> None:
    world = World(**CONFIGURED, retries={"userErrors": 1})
    world.answers[KeepConfigMap] = KEPT
    running(world)
    world.fail(1, exit_code=1)
    world.settle()
    world.now += timedelta(minutes=1)
    world.settle()
    assert workspace(world, 2) == workspace(world, 1)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        pytest.param(KEPT, "Unknown/Pending", id="they are there, or were made again with the same content"),
        pytest.param(
            Outcome(NOW, error="there is no ConfigMap", error_kind="Missing", retryable=True),
            "Unknown/ConfigMissing",
            id="one was deleted, and so was its ConfigMap",
        ),
        pytest.param(
            Outcome(NOW, "d" * 64), "False/ConfigMissing", id="one was deleted, and its ConfigMap has changed"
        ),
    ],
)
def test_before_another_attempt_the_copies_are_seen_to_be_there(found: Outcome, reason: str) -> None:
    world = World(**CONFIGURED, retries={"userErrors": 1})
    world.answers[KeepConfigMap] = KEPT
    running(world)
    world.fail(1, exit_code=1)
    world.settle()
    said = world.status.summary
    world.answers[KeepConfigMap] = found
    world.now += timedelta(minutes=1)
    world.step()
    assert world.status.summary == said, "nothing is written while it is looked for"
    world.settle()
    assert world.reason() == reason
    assert ("hedge-11111-2" in world.applied) == (reason == "Unknown/Pending")


def test_a_training_without_config_maps_copies_nothing() -> None:
    world = running(World())
    assert world.status.code is None
    assert not any(isinstance(effect, KeepConfigMap) for effect in world.asked)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        pytest.param(
            Outcome(NOW, error="there is no ConfigMap 'code'", error_kind="Missing", retryable=True),
            "Unknown/ConfigMissing",
            id="it is not there yet",
        ),
        pytest.param(
            Outcome(NOW, error="configmaps is forbidden", error_kind="Refused"),
            "Unknown/ConfigMissing",
            id="the operator may not read it",
        ),
        pytest.param(
            Outcome(NOW, error="503", error_kind="Unavailable", retryable=True),
            "Unknown/Preparing",
            id="the API server does not answer",
        ),
    ],
)
def test_copies_that_can_not_be_made_are_told_and_waited_for(outcome: Outcome, reason: str) -> None:
    world = World(**CONFIGURED)
    world.answers[KeepConfigMap] = outcome
    world.settle()
    assert world.reason() == reason
    assert outcome.error
    assert outcome.error in world.status.summary
    assert not world.applied
    world.answers[KeepConfigMap] = KEPT
    world.settle()
    assert world.job_spec(1)
    assert world.status.blocked_since is None


def test_a_config_map_that_never_comes_ends_the_training_at_its_pending_deadline() -> None:
    world = World(**CONFIGURED, pendingDeadlineSeconds=60)
    world.answers[KeepConfigMap] = Outcome(NOW, error="there is no ConfigMap", error_kind="Missing", retryable=True)
    plan = world.settle()
    assert plan.look_again == timedelta(seconds=60)
    world.now += timedelta(seconds=60)
    world.settle()
    assert world.reason() == "False/ConfigMissing"


def test_an_attempt_that_an_earlier_operator_started_keeps_its_template() -> None:
    """Templates of Jobs can't be changed; its digest is not known. The next attempt has copies."""
    world = World(**CONFIGURED, retries={"userErrors": 1})
    world.answers[KeepConfigMap] = KEPT
    while world.status.run is None:
        world.step()
    world.status = world.status.evolve(code=None)
    world.see_job(1, active=1, deadline=1)
    world.see_pod(1)
    world.settle()
    assert workspace(world, 1) == ("code", {"name": "site", "key": "region"})
    world.fail(1, exit_code=1)
    world.settle()
    world.now += timedelta(minutes=1)
    world.settle()
    assert workspace(world, 2)[0] == "hedge-11111-files"


def test_the_image_of_the_latest_attempt_is_the_one_that_ran() -> None:
    world = running(World(retries={"userErrors": 1}))
    world.fail(1, exit_code=1, image_id="x@sha256:1")
    world.settle()
    world.now += timedelta(minutes=1)
    world.settle()
    world.see_job(2, active=1)
    world.see_pod(2, container=ContainerView("train", running=True, image_id="x@sha256:2"))
    world.step()
    assert world.status.image_digest == "x@sha256:2"
