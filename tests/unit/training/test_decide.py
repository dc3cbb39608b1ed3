"""The table of a training's life: what is seen, and what is done about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import ModelFile
from modelcycle.api.v1alpha1.training import AttemptState, FailureClass, TrainingSpec, TrainingStatus
from modelcycle.core.conditions import find
from modelcycle.core.observed import ContainerView, JobView, Observed, PodView, Resource
from modelcycle.core.plan import Effect, Outcome, Plan
from modelcycle.registry.port import (
    EndRun,
    EnsureRun,
    FindRegistered,
    RegisterModel,
    RunInfo,
    RunStatus,
    SetAlias,
    VersionInfo,
)
from modelcycle.settings import Endpoints, MlflowEndpoint, Settings
from modelcycle.training.children import job_name
from modelcycle.training.decide import decide

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"
SETTINGS = Settings(
    cluster_id="c1",
    serving_image="serving",
    endpoints=Endpoints(mlflow=(MlflowEndpoint(name="default", url="http://mlflow:5000"),)),
)
RUN = RunInfo("run1", "7", "mlflow-artifacts:/7/run1/artifacts")
VERSION = VersionInfo(
    model="quant.hedge",
    version="3",
    run_id="run1",
    model_root="mlflow-artifacts:/7/models/m-1/artifacts",
    run_root=RUN.artifact_uri,
    files=(ModelFile(path="model/model.onnx", size=10, sha256="a" * 64),),
    digest="b" * 64,
)


class World:
    """A training with the answers that the outside gives, driven pass by pass as the runtime does it."""

    def __init__(self, **spec: Any) -> None:
        document = {"image": "train:1", "register": {"model": "quant.hedge"}} | spec
        self.spec = TrainingSpec.model_validate(document)
        self.status = TrainingStatus()
        self.jobs: tuple[JobView, ...] = ()
        self.pods: tuple[PodView, ...] = ()
        self.answers: dict[type[Effect], Outcome] = {
            FindRegistered: Outcome(NOW),
            EnsureRun: Outcome(NOW, RUN),
            RegisterModel: Outcome(NOW, VERSION),
            SetAlias: Outcome(NOW),
            EndRun: Outcome(NOW),
        }
        self.outcomes: dict[Effect, Outcome] = {}
        self.applied: dict[str, Any] = {}
        self.deleted: list[str] = []
        self.events: list[str] = []
        self.asked: list[Effect] = []
        self.now = NOW
        self.settings = SETTINGS

    def observed(self) -> Observed[TrainingSpec, TrainingStatus]:
        resource = Resource(
            namespace="quant",
            name="hedge",
            uid=UID,
            generation=1,
            resource_version="1",
            created=NOW,
            spec=self.spec,
            status=self.status,
            raw_spec={},
        )
        return Observed(resource, self.settings, jobs=self.jobs, pods=self.pods, outcomes=self.outcomes)

    def step(self) -> Plan[TrainingStatus]:
        plan = decide(self.observed(), self.now)
        again = decide(self.observed(), self.now)
        assert plan == again, "the same observation must give the same plan"
        self.applied |= {manifest["metadata"]["name"]: manifest for manifest in plan.apply}
        self.deleted += [ref.name for ref in plan.delete]
        self.events += [event.reason for event in plan.events]
        for effect in plan.effects:
            self.asked.append(effect)
            if type(effect) in self.answers:
                self.outcomes[effect] = self.answers[type(effect)]
        self.status = plan.status
        return plan

    def settle(self, passes: int = 8) -> Plan[TrainingStatus]:
        plan = self.step()
        for _ in range(passes):
            plan = self.step()
        return plan

    def reason(self, type_: str = "Succeeded") -> str:
        condition = find(self.status.conditions, type_)
        return f"{condition.status.value}/{condition.reason}" if condition else "absent"

    def job_spec(self, number: int) -> Any:
        return self.applied[job_name(self.observed().resource, number)]["spec"]

    def see_job(self, number: int, **fields: Any) -> None:
        job = JobView(
            namespace="quant",
            name=job_name(self.observed().resource, number),
            uid=f"job{number}",
            labels={names.LABEL_ATTEMPT: str(number)},
            spec_hash=None,
            created=self.now,
            start_time=self.now,
            **fields,
        )
        self.jobs = (*(j for j in self.jobs if j.name != job.name), job)

    def see_pod(
        self, number: int, phase: str = "Running", container: ContainerView | None = None, **fields: Any
    ) -> None:
        pod = PodView(
            namespace="quant",
            name=f"pod{number}",
            uid=f"pod{number}",
            labels={names.LABEL_ATTEMPT: str(number)},
            created=self.now,
            phase=phase,
            node="node-1",
            containers=(container or ContainerView("train", running=phase == "Running"),),
            **fields,
        )
        self.pods = (*(p for p in self.pods if p.name != pod.name), pod)

    def fail(self, number: int, **container: Any) -> None:
        self.see_job(number, failed=True, failed_reason="BackoffLimitExceeded")
        self.see_pod(number, "Failed", ContainerView("train", finished_at=self.now, **container))


def running(world: World) -> World:
    world.settle()
    world.see_job(1, active=1)
    world.see_pod(1)
    world.settle()
    return world


def test_a_good_training_ends_registered_with_one_run_and_one_job() -> None:
    world = running(World())
    assert world.reason() == "Unknown/Running"
    world.see_job(1, complete=True, completion_time=NOW)
    message = '{"modelcycle": 1, "class": null, "message": "", "data": {"digest": "d1", "rows": 500, "refused": 3}}'
    world.see_pod(
        1, "Succeeded", ContainerView("train", exit_code=0, terminated_message=message, image_id="sha256:abc")
    )
    plan = world.settle()
    assert world.reason() == "True/Registered"
    assert world.reason("Ready") == world.reason("Registered") == "True/Registered"
    assert world.status.registered is not None
    assert world.status.registered.version == "3"
    assert world.status.data is not None
    assert (world.status.data.rows, world.status.data.refused) == (500, 3)
    assert list(world.applied) == ["hedge-11111-1"]
    assert world.events == ["AttemptStarted", "Registered"]
    assert (plan.apply, plan.delete, plan.effects, plan.events) == ((), (), (), ())
    assert [e.status for e in world.asked if isinstance(e, EndRun)] == [RunStatus.FINISHED]
    tags = next(dict(e.tags) for e in world.asked if isinstance(e, RegisterModel))
    assert tags[names.TAG_DATA] == "d1"
    assert tags[names.TAG_IMAGE] == "sha256:abc"
    assert tags[names.TAG_KEY] == world.status.key


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
    plan = world.step()
    assert world.events == ["AttemptStarted"]
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


def test_the_run_is_in_the_status_before_the_first_pod() -> None:
    world = World()
    while not world.applied:
        before = world.status
        world.step()
    assert before.run is not None
    assert before.run.id == "run1"


def test_a_spec_that_was_trained_before_needs_no_pod() -> None:
    world = World()
    world.answers[FindRegistered] = Outcome(NOW, VERSION)
    world.settle()
    assert world.reason() == "True/AlreadyRegistered"
    assert not world.applied
    assert not any(isinstance(effect, EnsureRun) for effect in world.asked)


def test_another_nonce_or_parameter_makes_another_key_and_a_suspension_does_not() -> None:
    def key(**spec: Any) -> str | None:
        world = World(**spec)
        world.step()
        return world.status.key

    assert key() == key(suspend=True) == key(ttlSecondsAfterFinished=5) == key(deadlineSeconds=90000)
    assert len({key(), key(nonce="2"), key(parameters=[{"name": "a", "value": "1"}]), key(seed=1)}) == 4


@pytest.mark.parametrize(
    ("container", "pod", "expected"),
    [
        pytest.param({"exit_code": 1, "terminated_message": "Traceback\nValueError: x"}, {}, "UserError", id="raises"),
        pytest.param({"exit_code": 65}, {}, "DataError", id="says that its data is bad"),
        pytest.param({"exit_code": 70}, {}, "NonFiniteLoss", id="has a NaN loss"),
        pytest.param(
            {"exit_code": 137, "terminated_reason": "OOMKilled"}, {}, "OutOfMemory", id="needs too much memory"
        ),
        pytest.param({"exit_code": 75}, {}, "DeviceFault", id="has a broken GPU"),
        pytest.param({"exit_code": 137}, {}, "Unknown", id="is killed from outside"),
        pytest.param({"exit_code": 143}, {"disruption": "EvictionByEvictionAPI"}, "Disrupted", id="is evicted"),
        pytest.param({}, {"reason": "Evicted", "message": "low on disk"}, "Disrupted", id="is evicted by the kubelet"),
        pytest.param({}, {"reason": "UnexpectedAdmissionError"}, "DeviceFault", id="gets no healthy device"),
        pytest.param(
            {"exit_code": 1, "terminated_message": '{"modelcycle": 1, "class": "DataError", "message": "no rows"}'},
            {},
            "DataError",
            id="gives its own class",
        ),
    ],
)
def test_failures_are_told_apart(container: dict[str, Any], pod: dict[str, Any], expected: str) -> None:
    world = running(World(retries={"userErrors": 0, "disruptions": 0, "infrastructure": 0}))
    world.see_job(1, failed=True, failed_reason="BackoffLimitExceeded")
    world.see_pod(1, "Failed", ContainerView("train", finished_at=NOW, **container), **pod)
    world.settle()
    assert world.status.failures == (FailureClass(expected),)
    assert world.reason() == f"False/{expected}"
    assert [e.status for e in world.asked if isinstance(e, EndRun)] == [RunStatus.FAILED]
    assert world.status.registered is None


def test_the_last_lines_of_the_traceback_reach_the_condition() -> None:
    world = running(World())
    world.fail(1, exit_code=1, terminated_message="Traceback (most recent call last)\n  ...\nKeyError: 'close'")
    world.settle()
    condition = find(world.status.conditions, "Succeeded")
    assert condition is not None
    assert "KeyError: 'close'" in condition.message


def test_each_kind_of_failure_has_its_own_budget() -> None:
    world = running(World(retries={"userErrors": 1, "disruptions": 2, "infrastructure": 0}))
    for number in (1, 2, 3):
        disrupted = number < 3
        world.fail(number, exit_code=143 if disrupted else 1, terminated_message="x")
        world.settle()
        assert world.reason() == "Unknown/Retrying"
        world.now += timedelta(minutes=10)
        world.settle()
        world.see_job(number + 1, active=1)
    world.fail(4, exit_code=1, terminated_message="again")
    world.settle()
    assert world.reason() == "False/UserError"
    assert [f.value for f in world.status.failures] == ["Disrupted", "Disrupted", "UserError", "UserError"]
    assert list(world.applied) == [f"hedge-11111-{n}" for n in (1, 2, 3, 4)]


def test_a_failure_is_counted_once_however_often_it_is_seen() -> None:
    world = running(World(retries={"userErrors": 3}))
    world.fail(1, exit_code=1)
    world.settle(20)
    assert world.status.failures == (FailureClass.USER_ERROR,)
    assert world.events.count("UserError") == 1


def test_a_retry_waits_longer_each_time() -> None:
    world = running(World(retries={"userErrors": 3}))
    world.fail(1, exit_code=1)
    plan = world.settle()
    assert plan.look_again == timedelta(seconds=10)
    world.now += timedelta(seconds=10)
    world.settle()
    assert "hedge-11111-2" in world.applied


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


def test_a_job_without_a_pod_for_a_minute_says_where_to_look() -> None:
    world = World()
    world.settle()
    world.see_job(1)
    world.now += timedelta(seconds=61)
    world.settle()
    assert world.reason() == "Unknown/ConfigMissing"
    assert "kubectl describe job" in world.status.summary


def test_suspended_before_the_start_makes_no_run_and_resumes() -> None:
    world = World(suspend=True)
    world.settle()
    assert world.reason() == "Unknown/Suspended"
    assert world.reason("Suspended") == "True/Suspended"
    assert not any(isinstance(effect, EnsureRun) for effect in world.asked)
    world.spec = world.spec.evolve(suspend=False)
    world.settle()
    assert list(world.applied) == ["hedge-11111-1"]
    assert world.reason("Suspended") == "absent"


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


def test_a_job_that_somebody_deleted_costs_an_attempt_not_the_training() -> None:
    world = running(World())
    world.jobs, world.pods = (), ()
    world.now += timedelta(minutes=1)
    world.settle()
    assert world.reason() == "Unknown/Retrying"
    world.now += timedelta(minutes=5)
    world.settle()
    assert "hedge-11111-2" in world.applied


def test_terminal_stays_terminal_when_the_jobs_are_gone() -> None:
    world = running(World())
    world.fail(1, exit_code=1)
    world.settle()
    assert world.reason() == "False/UserError"
    world.jobs, world.pods, world.applied = (), (), {}
    world.now += timedelta(days=400)
    plan = world.settle()
    assert world.applied == {}
    assert plan.look_again is None


def test_the_ttl_removes_jobs_and_never_the_result() -> None:
    world = running(World(ttlSecondsAfterFinished=100))
    world.see_job(1, complete=True, completion_time=NOW)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    plan = world.settle()
    assert world.deleted == []
    assert plan.look_again == timedelta(seconds=100)
    world.now += timedelta(seconds=100)
    world.step()
    assert world.deleted == ["hedge-11111-1"]
    assert world.reason() == "True/Registered"


@pytest.mark.parametrize("effect", [FindRegistered, EnsureRun, RegisterModel])
def test_mlflow_away_is_said_and_waited_for(effect: type[Effect]) -> None:
    world = World()
    good = world.answers[effect]
    world.answers[effect] = Outcome(NOW, error="connection refused", error_kind="Unavailable", retryable=True)
    world.settle()
    if world.applied:
        world.see_job(1, complete=True)
    world.settle()
    assert world.reason() == "Unknown/RegistryUnavailable"
    assert world.events.count("RegistryUnavailable") == 1
    assert "connection refused" in world.status.summary
    world.answers[effect] = good
    world.outcomes.clear()
    world.settle()
    world.see_job(1, complete=True)
    world.settle()
    assert world.reason() == "True/Registered"


@pytest.mark.parametrize("reason", ["UnsupportedFlavor", "NoModelLogged"])
def test_a_model_that_can_not_be_registered_ends_the_training(reason: str) -> None:
    world = running(World())
    world.answers[RegisterModel] = Outcome(NOW, error="log it with mlflow.onnx", error_kind=reason)
    world.see_job(1, complete=True)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    world.settle()
    assert world.reason() == f"False/{reason}"
    assert "mlflow.onnx" in world.status.summary


def test_the_challenger_alias_is_set_before_the_training_counts_as_done() -> None:
    world = running(World(register={"model": "quant.hedge", "alias": "challenger"}))
    del world.answers[SetAlias]
    world.see_job(1, complete=True)
    world.see_pod(1, "Succeeded", ContainerView("train", exit_code=0))
    world.settle()
    assert world.reason() == "Unknown/Preparing"
    world.outcomes[SetAlias("default", "quant.hedge", "challenger", "3")] = Outcome(NOW)
    world.settle()
    assert world.reason() == "True/Registered"


@pytest.mark.parametrize(
    ("spec", "settings", "reason"),
    [
        pytest.param({"mlflow": "other"}, SETTINGS, "EndpointUnknown", id="nobody defined the endpoint"),
        pytest.param({"register": {"model": "theirs.hedge"}}, SETTINGS, "ModelNotAllowed", id="the name is another's"),
    ],
)
def test_what_the_administrator_does_not_allow_is_stalled_and_recovers(
    spec: dict[str, Any], settings: Settings, reason: str
) -> None:
    world = World(**spec)
    world.settle()
    assert world.reason() == f"Unknown/{reason}"
    assert world.reason("Stalled") == f"True/{reason}"
    assert world.asked == []
    endpoint = MlflowEndpoint(name=world.spec.mlflow, url="http://m", model_prefixes=("",))
    world.settings = settings.model_copy(update={"endpoints": Endpoints(mlflow=(endpoint,))})
    world.settle()
    assert world.reason("Stalled") == "absent"


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


def test_a_job_that_ran_out_of_time_is_not_tried_again() -> None:
    world = running(World(retries={"userErrors": 10, "infrastructure": 10}))
    world.see_job(1, failed=True, failed_reason="DeadlineExceeded")
    world.settle()
    assert world.reason() == "False/DeadlineExceeded"


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
