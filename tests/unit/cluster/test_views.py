from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from modelcycle.cluster.kinds import DEPLOYMENT, JOB, MODEL_DEPLOYMENT, MODEL_TRAINING, POD, RETRAIN_POLICY, SERVICE
from modelcycle.cluster.views import folded, unfolded, view_of
from modelcycle.constants import ANNOTATION_SPEC_HASH, ENV_DEADLINE, LABEL_ATTEMPT, LABEL_OWNER_UID
from modelcycle.core.observed import ContainerView, DeploymentView, JobView, ObjectView, PodView, Resource

T0 = "2026-03-04T05:06:07Z"
AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
BARE = {"namespace": "shop", "name": "a", "uid": "u1"}


def job(**status: Any) -> JobView:
    view = view_of(JOB, {"metadata": BARE, "status": status})
    assert isinstance(view, JobView)
    return view


def pod(spec: dict[str, Any] | None = None, **status: Any) -> PodView:
    view = view_of(POD, {"metadata": BARE, "spec": spec, "status": status})
    assert isinstance(view, PodView)
    return view


def deployment(generation: int = 1, **status: Any) -> DeploymentView:
    view = view_of(
        DEPLOYMENT, {"metadata": BARE | {"generation": generation}, "spec": {"replicas": 2}, "status": status}
    )
    assert isinstance(view, DeploymentView)
    return view


def condition(type_: str, status: str, reason: str = "R", message: str = "") -> dict[str, str]:
    return {"type": type_, "status": status, "reason": reason, "message": message}


# --- what is missing -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "kind",
    [JOB, POD, DEPLOYMENT, SERVICE, MODEL_TRAINING, MODEL_DEPLOYMENT, RETRAIN_POLICY],
    ids=lambda kind: kind.name,
)
@pytest.mark.parametrize("parts", [{}, {"spec": None, "status": None}], ids=["absent", "null"])
def test_an_object_with_nothing_but_its_name_has_a_view(kind: Any, parts: dict[str, Any]) -> None:
    view = view_of(kind, {"metadata": BARE} | parts)
    assert (view.namespace, view.name, view.uid, view.deleting) == ("shop", "a", "u1", False)


def test_the_hash_and_our_labels_of_children() -> None:
    labels = {"x": "y", LABEL_OWNER_UID: "u2", LABEL_ATTEMPT: "3"}
    metadata = BARE | {"labels": labels, "annotations": {ANNOTATION_SPEC_HASH: "abc"}, "deletionTimestamp": T0}
    view = view_of(SERVICE, {"metadata": metadata})
    assert view == ObjectView(
        "v1", "Service", "shop", "a", "u1", {LABEL_OWNER_UID: "u2", LABEL_ATTEMPT: "3"}, "abc", deleting=True
    )


# --- our own kinds ---------------------------------------------------------------------------------------------------
def training(spec: dict[str, Any], **parts: Any) -> Resource[Any, Any]:
    metadata = BARE | {"generation": 3, "resourceVersion": "77", "creationTimestamp": T0} | parts.pop("metadata", {})
    view = view_of(MODEL_TRAINING, {"metadata": metadata, "spec": spec} | parts)
    assert isinstance(view, Resource)
    return view


GOOD = {"image": "localhost/train:1", "register": {"model": "shop.a"}}


def test_a_resource_has_spec_and_status_as_models() -> None:
    view = training(GOOD, status={"runningSeconds": 5})
    assert view.spec.register_.model == "shop.a"
    assert view.status.running_seconds == 5
    assert (view.generation, view.resource_version, view.created) == (3, "77", AT)
    assert view.raw_spec == GOOD
    assert view.invalid is None


def test_what_is_the_same_as_before_is_read_once() -> None:
    before = training(GOOD)
    raw = {"metadata": BARE, "spec": dict(GOOD), "status": {"runningSeconds": 5}}
    view = view_of(MODEL_TRAINING, raw, before)
    assert isinstance(view, Resource)
    assert view.spec is before.spec
    assert view.status.running_seconds == 5


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(GOOD | {"seed": 2}, id="another spec"),
        pytest.param({"image": "x"}, id="one that can't be understood"),
    ],
)
def test_what_is_not_the_same_is_read_anew(before: dict[str, Any]) -> None:
    view = view_of(MODEL_TRAINING, {"metadata": BARE, "spec": GOOD}, training(before))
    assert view == view_of(MODEL_TRAINING, {"metadata": BARE, "spec": GOOD})


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        pytest.param({}, "spec.image: Field required", id="a field is missing"),
        pytest.param(GOOD | {"seed": -1}, "spec.seed: Input should be greater than or equal to 0", id="out of bounds"),
        pytest.param(GOOD | {"register": {"model": "-"}}, "spec.register.model", id="deep inside"),
    ],
)
def test_a_spec_that_does_not_validate_says_where(spec: dict[str, Any], told: str) -> None:
    view = training(spec)
    assert view.spec is None
    assert view.status is not None
    assert told in str(view.invalid)


def test_what_is_wrong_is_told_in_bounds() -> None:
    many = GOOD | {"parameters": [{"name": "é" * 300, "value": 1} for _ in range(60)]}
    assert len(str(training(many).invalid).encode()) <= 1000


def test_a_status_that_does_not_validate_is_absent_not_empty() -> None:
    view = training(GOOD, status={"attempts": [{"number": 1, "job": "j", "state": "Teleported"}]})
    assert view.status is None
    assert view.spec is not None
    assert "status.attempts.0.state" in str(view.invalid)


def test_annotations_of_tools_are_not_kept() -> None:
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{...}", "modelcycle.dev/abort-requested": "now"}
    assert training(GOOD, metadata={"annotations": annotations}).annotations == {
        "modelcycle.dev/abort-requested": "now"
    }


def test_a_resource_that_is_being_deleted() -> None:
    assert training(GOOD, metadata={"deletionTimestamp": T0}).deleting


# --- jobs ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("conditions", "complete", "failed"),
    [
        pytest.param([], False, False, id="running"),
        pytest.param([condition("Complete", "True")], True, False, id="complete"),
        pytest.param([condition("Failed", "True")], False, True, id="failed"),
        pytest.param([condition("SuccessCriteriaMet", "True")], False, False, id="its pods are still ending"),
        pytest.param([condition("FailureTarget", "True")], False, False, id="failing, but not yet failed"),
        pytest.param([condition("Failed", "False")], False, False, id="explicitly not failed"),
    ],
)
def test_how_a_job_ended(conditions: list[dict[str, str]], complete: bool, failed: bool) -> None:
    view = job(conditions=conditions)
    assert (view.complete, view.failed) == (complete, failed)


def test_why_and_when_a_job_ended() -> None:
    view = job(
        startTime=T0,
        completionTime=T0,
        active=1,
        conditions=[condition("Failed", "True", "DeadlineExceeded", "too long")],
    )
    assert (view.start_time, view.completion_time, view.active) == (AT, AT, 1)
    assert (view.failed_reason, view.failed_message) == ("DeadlineExceeded", "too long")


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        pytest.param([{"name": "A", "value": "x"}, {"name": ENV_DEADLINE, "value": "60"}], 60, id="told"),
        pytest.param([{"name": ENV_DEADLINE, "value": "soon"}], None, id="no number"),
        pytest.param([{"name": ENV_DEADLINE, "valueFrom": {}}], None, id="not by a value"),
        pytest.param([], None, id="not told"),
    ],
)
def test_the_deadlines_of_a_job(variables: list[dict[str, Any]], told: int | None) -> None:
    template = {"spec": {"containers": [{"name": "a"}, {"name": "b", "env": variables}]}}
    view = view_of(JOB, {"metadata": BARE, "spec": {"activeDeadlineSeconds": 90, "template": template}})
    assert isinstance(view, JobView)
    assert (view.deadline, view.told_deadline) == (90, told)


# --- deployments -----------------------------------------------------------------------------------------------------
def test_the_numbers_of_a_deployment() -> None:
    view = deployment(replicas=4, readyReplicas=3, updatedReplicas=2, availableReplicas=1)
    assert (view.replicas, view.existing, view.ready, view.updated, view.available) == (2, 4, 3, 2, 1)


@pytest.mark.parametrize(
    ("generation", "observed", "settled"),
    [pytest.param(2, 1, False, id="the controller is behind"), pytest.param(2, 2, True, id="it has seen the latest")],
)
def test_settled(generation: int, observed: int, settled: bool) -> None:
    assert deployment(generation, observedGeneration=observed).settled is settled


@pytest.mark.parametrize(
    ("conditions", "stuck"),
    [
        pytest.param([condition("Progressing", "True")], None, id="going on"),
        pytest.param(
            [condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out")], "timed out", id="late"
        ),
        pytest.param(
            [condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota")],
            "exceeded quota",
            id="no pods at all",
        ),
        pytest.param([condition("Progressing", "False", "Late")], "Late", id="without a message, the reason"),
    ],
)
def test_stuck(conditions: list[dict[str, str]], stuck: str | None) -> None:
    assert deployment(conditions=conditions).stuck == stuck


# --- pods ------------------------------------------------------------------------------------------------------------
def test_a_pod_that_nobody_can_place() -> None:
    view = pod(conditions=[condition("PodScheduled", "False", "Unschedulable", "0/3 nodes: no GPU")])
    assert view.unschedulable == "0/3 nodes: no GPU"


def test_a_pod_that_waits_for_a_gate_is_not_unschedulable() -> None:
    assert pod(conditions=[condition("PodScheduled", "False", "SchedulingGated")]).unschedulable is None


LABELS = {LABEL_ATTEMPT: "1", "batch.kubernetes.io/job-name": "a"}


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        pytest.param(JOB, {}, id="a Job without anything"),
        pytest.param(
            JOB,
            {
                "spec": {"activeDeadlineSeconds": 60, "suspend": True},
                "status": {
                    "startTime": T0,
                    "completionTime": T0,
                    "conditions": [condition("Failed", "True", "DeadlineExceeded", "late \u2028 \N{GRINNING FACE}")],
                },
            },
            id="a Job with everything",
        ),
        pytest.param(POD, {}, id="a pod without anything"),
        pytest.param(
            POD,
            {
                "spec": {"nodeName": "n1"},
                "status": {
                    "phase": "Failed",
                    "conditions": [condition("DisruptionTarget", "True", "Evicted")],
                    "initContainerStatuses": [{"name": "fetch", "state": {"waiting": {"reason": "PodInitializing"}}}],
                    "containerStatuses": [
                        {"name": "train", "state": {"terminated": {"exitCode": 137, "startedAt": T0, "message": "{}"}}}
                    ],
                },
            },
            id="a pod with everything",
        ),
        pytest.param(MODEL_TRAINING, {"spec": {"image": "x", "register": {"model": "shop.a"}}}, id="a training"),
        pytest.param(MODEL_DEPLOYMENT, {"spec": {"replicas": "many"}}, id="a deployment that is invalid"),
    ],
)
def test_a_view_from_its_json_is_the_same_view(kind: Any, parts: dict[str, Any]) -> None:
    raw = {"metadata": BARE | {"creationTimestamp": T0, "labels": LABELS}} | parts
    view = view_of(kind, raw)
    assert unfolded(kind, folded(view, raw)) == view


def test_a_pod_that_is_taken_away() -> None:
    view = pod(
        {"nodeName": "n1"},
        phase="Failed",
        reason="Evicted",
        message="disk pressure",
        conditions=[condition("DisruptionTarget", "True", "EvictionByEvictionAPI"), condition("Ready", "False")],
    )
    assert (view.node, view.phase, view.reason, view.message) == ("n1", "Failed", "Evicted", "disk pressure")
    assert (view.disruption, view.ready) == ("EvictionByEvictionAPI", False)


ENDED = {"exitCode": 137, "reason": "OOMKilled", "message": "killed", "startedAt": T0, "finishedAt": T0}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param(
            {"ready": True, "state": {"running": {"startedAt": T0}}, "imageID": "registry.example/x@sha256:1"},
            ContainerView("train", ready=True, running=True, started_at=AT, image_id="registry.example/x@sha256:1"),
            id="running",
        ),
        pytest.param(
            {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}, "imageID": ""},
            ContainerView("train", waiting_reason="ImagePullBackOff", waiting_message="not found"),
            id="waiting for its image",
        ),
        pytest.param(
            {"state": {"terminated": ENDED}},
            ContainerView(
                "train",
                exit_code=137,
                terminated_reason="OOMKilled",
                terminated_message="killed",
                started_at=AT,
                finished_at=AT,
            ),
            id="ended",
        ),
        pytest.param(
            {
                "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": ENDED},
            },
            ContainerView(
                "train",
                restarts=2,
                waiting_reason="CrashLoopBackOff",
                exit_code=137,
                terminated_reason="OOMKilled",
                terminated_message="killed",
                started_at=AT,
                finished_at=AT,
            ),
            id="waiting to be started again, with its last end",
        ),
    ],
)
def test_a_container(status: dict[str, Any], expected: ContainerView) -> None:
    assert pod(containerStatuses=[{"name": "train"} | status]).containers == (expected,)


def test_init_containers_come_first_and_say_so() -> None:
    view = pod(initContainerStatuses=[{"name": "fetch"}], containerStatuses=[{"name": "serve"}])
    assert [(one.name, one.init) for one in view.containers] == [("fetch", True), ("serve", False)]
