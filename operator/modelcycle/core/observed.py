"""What a decision looks at: frozen, slotted views of the cluster's objects, gathered from the cache in one go.

A view holds the few fields that some decision reads; the cache keeps views, never whole objects. All times are aware
datetimes in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from modelcycle.core.plan import Facts, Outcomes
from modelcycle.settings import Settings

SpecT = TypeVar("SpecT")
StatusT = TypeVar("StatusT")


@dataclass(frozen=True, slots=True)
class Resource(Generic[SpecT, StatusT]):
    """One of our custom resources. ``invalid`` says why the spec can't be understood (then ``spec`` is None)."""

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    created: datetime
    spec: SpecT
    status: StatusT
    raw_spec: Mapping[str, Any]
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    deleting: bool = False
    invalid: str | None = None


@dataclass(frozen=True, slots=True)
class ContainerView:
    """State of one container; of the last run where it waits to be started again."""

    name: str
    init: bool = False
    ready: bool = False
    running: bool = False
    restarts: int = 0
    waiting_reason: str | None = None
    waiting_message: str | None = None
    exit_code: int | None = None
    terminated_reason: str | None = None
    terminated_message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    image_id: str | None = None


@dataclass(frozen=True, slots=True)
class PodView:
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    created: datetime
    phase: str
    ready: bool = False
    deleting: bool = False
    node: str | None = None
    reason: str | None = None
    message: str | None = None
    unschedulable: str | None = None  # message of PodScheduled=False/Unschedulable
    disruption: str | None = None  # reason of DisruptionTarget=True
    containers: tuple[ContainerView, ...] = ()


@dataclass(frozen=True, slots=True)
class JobView:
    """``deadline``: its activeDeadlineSeconds; ``told_deadline``: what its pods were told of it when it was made.

    ``run_id``: the MLflow run that its pods were told to log to.
    """

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    spec_hash: str | None
    created: datetime
    suspended: bool = False
    deadline: int | None = None
    told_deadline: int | None = None
    run_id: str | None = None
    active: int = 0
    start_time: datetime | None = None
    completion_time: datetime | None = None
    complete: bool = False
    failed: bool = False
    failed_reason: str | None = None
    failed_message: str | None = None
    deleting: bool = False


def awaits_last_words(job: JobView, pod: PodView | None) -> bool:
    """Whether ``job`` has ended and this view of its pod is older than that: what the pod said last is still to come.

    A Job ends only after its pods (unless its time is over), but the two kinds are watched apart from each other, and
    a long message takes its time.
    """
    if not (job.complete or job.failed) or job.failed_reason == "DeadlineExceeded":
        return False
    return pod is not None and not pod.deleting and pod.phase not in ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """An apps/v1 Deployment. ``settled``: its controller has seen the latest spec."""

    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    spec_hash: str | None
    created: datetime
    replicas: int = 0
    existing: int = 0
    ready: int = 0
    updated: int = 0
    available: int = 0
    settled: bool = False
    stuck: str | None = None  # message of ReplicaFailure=True, else of Progressing=False
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class ObjectView:
    """Any other child (Service, PodDisruptionBudget, ...): that it is there, and what was applied."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    labels: Mapping[str, str]
    spec_hash: str | None
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class Observed(Generic[SpecT, StatusT]):
    """One resource with its children (found by ``LABEL_OWNER_UID``), outside facts and results of effects.

    ``since``: when this operator looked at it for the first time; None: when it was made.
    ``rush``: many others were looked at for the first time just now, so that what is over soon is not worth a write.
    """

    resource: Resource[SpecT, StatusT]
    settings: Settings
    jobs: tuple[JobView, ...] = ()
    pods: tuple[PodView, ...] = ()
    deployments: tuple[DeploymentView, ...] = ()
    objects: tuple[ObjectView, ...] = ()
    outcomes: Outcomes = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)
    since: datetime | None = None
    rush: bool = False
