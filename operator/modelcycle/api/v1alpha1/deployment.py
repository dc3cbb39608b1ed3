"""``ModelDeployment``: serve this registered model, and roll new versions out safely."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelcycle.api.v1alpha1.common import (
    LIST_ATOMIC,
    ApiModel,
    Conditions,
    Duration,
    EndpointName,
    EnvVar,
    Files,
    ImageReference,
    LabelName,
    Line,
    Message,
    ModelName,
    ModelVersionNumber,
    Phrase,
    Placement,
    PositiveDecimal,
    Probability,
    PullSecrets,
    Reason,
    Resources,
    Sha256,
    Share,
    Timestamp,
    UnsignedDecimal,
    cel,
    exactly_one_of,
    list_map,
    validations,
)

AliasName = Annotated[str, Field(pattern=r"^[a-z]([-a-z0-9_]*[a-z0-9])?$", min_length=1, max_length=63)]


class Aliases(ApiModel):
    """The registry's aliases by which this deployment finds its versions."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("self.champion != self.challenger", "champion and challenger must be two different aliases")
        )
    )

    champion: Annotated[AliasName, Field(description="Alias of the version that serves. Only the owner moves it.")] = (
        "champion"
    )
    challenger: Annotated[AliasName, Field(description="Alias of the version to be tried next.")] = "challenger"


class ModelSelector(ApiModel):
    """Which versions of which registered model are served."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!(has(self.version) && has(self.follow) && self.follow)",
                "a pinned version follows nothing: set either version or follow",
            ),
            cel(
                "self.name == oldSelf.name",
                "name can't be changed, since versions and verdicts are of one model: make another ModelDeployment",
                ".name",
            ),
        )
    )

    name: Annotated[ModelName, Field(description="Registered model in MLflow.")]
    aliases: Annotated[Aliases, Field(description="Aliases that are watched.")] = Aliases()
    version: Annotated[
        ModelVersionNumber | None,
        Field(description="Pin this version: it is served at once, aliases are left alone until the pin is removed."),
    ] = None
    follow: Annotated[bool, Field(description="Follow the champion that another deployment owns; move no alias.")] = (
        False
    )


class SmokeStep(ApiModel):
    """The version answers its own recorded rows as it did at training; without records: signature and finiteness."""

    absolute_tolerance: Annotated[UnsignedDecimal, Field(description="Largest absolute difference.")] = "0.0001"
    relative_tolerance: Annotated[UnsignedDecimal, Field(description="Largest difference relative to the record.")] = (
        "0.001"
    )
    max_wait: Annotated[Duration, Field(description="The candidate must be ready within this time.")] = "10m"


class OnNoData(StrEnum):
    HOLD = "Hold"
    PROCEED = "Proceed"
    FAIL = "Fail"


class ReplicasStep(ApiModel):
    """A share of the replicas, and so of the requests, goes to the candidate until enough is known of it."""

    percent: Annotated[int, Field(ge=1, le=100, description="Share of the replicas, at least one.")]
    min_requests: Annotated[
        int, Field(ge=1, le=1_000_000_000, description="Requests that the candidate must answer.")
    ] = 100
    min_labels: Annotated[
        int, Field(ge=0, le=1_000_000_000, description="Labelled rows that the candidate must have before it goes on.")
    ] = 0
    max_wait: Annotated[Duration, Field(description="After this time without enough data, onNoData decides.")] = "1h"
    on_no_data: Annotated[OnNoData, Field(description="Hold: go on waiting. Proceed: take the step. Fail: reject.")] = (
        OnNoData.HOLD
    )


class Step(ApiModel):
    """One step of the rollout."""

    model_config = ConfigDict(json_schema_extra=validations(exactly_one_of("smoke", "replicas")))

    name: Annotated[LabelName, Field(description="Name of the step, for status and events.")]
    smoke: Annotated[SmokeStep | None, Field(description="Recorded rows are answered within tolerance.")] = None
    replicas: Annotated[ReplicasStep | None, Field(description="Live requests, by a share of the replicas.")] = None


class Limits(ApiModel):
    """What a candidate may not exceed on live requests. Errors and latency decide; the loss can only veto."""

    max_error_rate: Annotated[Share, Field(description="Largest share of failed requests, e.g. 0.01.")] = "0.01"
    latency_percentile: Annotated[int, Field(ge=50, le=99, description="Percentile of latency that is compared.")] = 90
    max_latency_increase_percent: Annotated[
        int, Field(ge=0, le=10_000, description="How much slower than the serving version it may be.")
    ] = 100
    latency_floor_milliseconds: Annotated[
        int, Field(ge=0, le=600_000, description="Latencies below this are never too slow.")
    ] = 25
    loss_veto_labels: Annotated[
        int,
        Field(ge=2, le=1_000_000_000, description="Labelled rows of each version below which the loss says nothing."),
    ] = 40
    loss_veto_alpha: Annotated[
        Probability, Field(description="Chance of vetoing a candidate that is no worse (one-sided test).")
    ] = "0.01"


class Approval(StrEnum):
    NONE = "None"
    REQUIRED = "Required"


class Rollout(ApiModel):
    """How a new version takes over."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "size(self.steps) == 0 || !self.steps.exists(s, has(s.smoke)) || has(self.steps[0].smoke)",
                "the smoke step must come first",
                ".steps",
            )
        )
    )

    steps: Annotated[
        tuple[Step, ...],
        Field(max_length=10, json_schema_extra=list_map("name"), description="Steps, taken in order."),
    ] = (
        Step(name="smoke", smoke=SmokeStep()),
        Step(name="half", replicas=ReplicasStep(percent=50)),
    )
    limits: Annotated[Limits, Field(description="What a candidate may not exceed.")] = Limits()
    approval: Annotated[
        Approval, Field(description="Required: promotion waits for the approve-requested annotation.")
    ] = Approval.NONE
    paused: Annotated[bool, Field(description="True holds a rollout where it is; nothing is promoted or rejected.")] = (
        False
    )


class Loss(StrEnum):
    SQUARED = "Squared"
    ABSOLUTE = "Absolute"
    LOG = "Log"
    PINBALL = "Pinball"
    QLIKE = "Qlike"
    MODEL = "Model"


class Feedback(ApiModel):
    """How a label that comes back with a feedback token is scored."""

    loss: Annotated[Loss, Field(description="Loss of a row; Model: the version's own loss.onnx.")] = Loss.SQUARED
    pinball_quantile_percent: Annotated[int, Field(ge=1, le=99, description="Quantile of the pinball loss.")] = 50
    duplicate_window_rows: Annotated[
        int,
        Field(ge=1_000, le=10_000_000, description="A label given twice is refused within this many rows a replica."),
    ] = 100_000


class Serving(ApiModel):
    """The server's knobs."""

    max_requests_per_connection: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="A connection is closed after so many requests, so that load spreads."),
    ] = 100
    max_body_bytes: Annotated[int, Field(ge=1_024, le=2**30, description="Larger requests are refused.")] = 16_777_216
    drain_seconds: Annotated[
        int, Field(ge=0, le=600, description="How long a pod that ends goes on serving what still reaches it.")
    ] = 15


class Autoscaling(ApiModel):
    """More pods than replicas while there are more requests in flight than these can carry."""

    max_replicas: Annotated[
        int, Field(ge=1, le=1000, description="Serving pods at most; below replicas it says the same as replicas.")
    ]
    in_flight: Annotated[
        PositiveDecimal | None,
        Field(
            description="Requests in flight in a pod that are aimed at, on average over a minute; absent: 0.7 for each "
            "CPU of the pod."
        ),
    ] = None


class DeploymentSpec(ApiModel):
    """A served model."""

    model: Annotated[ModelSelector, Field(description="Which versions of which model.")]
    replicas: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="Serving pods, stable and candidate together; with autoscaling the fewest there are.",
        ),
    ] = 2
    autoscaling: Annotated[Autoscaling | None, Field(description="Absent: always replicas.")] = None
    mlflow: Annotated[EndpointName, Field(description="MLflow endpoint, by the name the administrator gave it.")] = (
        "default"
    )
    prometheus: Annotated[EndpointName, Field(description="Prometheus endpoint that knows the serving metrics.")] = (
        "default"
    )
    image: Annotated[ImageReference | None, Field(description="Serving image; absent: the operator's own.")] = None
    image_pull_secrets: PullSecrets = ()
    env: Annotated[
        tuple[EnvVar, ...],
        Field(max_length=64, json_schema_extra=list_map("name"), description="Environment variables of the server."),
    ] = ()
    resources: Annotated[Resources, Field(description="CPU, memory and GPUs of one pod.")] = Resources()
    placement: Annotated[Placement, Field(description="On which nodes the pods may run.")] = Placement()
    serving: Annotated[Serving, Field(description="Knobs of the server.")] = Serving()
    feedback: Annotated[Feedback, Field(description="How labels are scored.")] = Feedback()
    rollout: Annotated[Rollout, Field(description="How a new version takes over.")] = Rollout()


class Verdict(StrEnum):
    PROMOTED = "Promoted"
    REJECTED = "Rejected"
    SUPERSEDED = "Superseded"


class VerdictRecord(ApiModel):
    """What a rollout of a version ended with. A version with a verdict is not rolled again unless asked."""

    version: Annotated[ModelVersionNumber, Field(description="The version that was judged.")]
    verdict: Annotated[Verdict, Field(description="Promoted, Rejected or Superseded.")]
    reason: Annotated[Reason, Field(description="Why, as one word.")]
    message: Annotated[Phrase, Field(description="Why, for a person, with the numbers that decided.")] = ""
    time: Annotated[Timestamp, Field(description="When.")]
    replaced: Annotated[ModelVersionNumber | None, Field(description="The version that served before.")] = None
    recorded: Annotated[bool, Field(description="Whether the version carries it as tags in MLflow.")] = False


class ServedVersion(ApiModel):
    """A version with its pods. The runtime that it was started with stays pinned."""

    version: Annotated[ModelVersionNumber, Field(description="Version of the registered model.")]
    revision: Annotated[int, Field(ge=1, le=2**31, description="Revision of the pod template, from 1.")] = 1
    template_hash: Annotated[Line, Field(description="Hash of the pod template that these pods were made from.")] = ""
    image: Annotated[ImageReference | None, Field(description="Serving image that is pinned.")] = None
    digest: Annotated[Sha256 | None, Field(description="SHA-256 over the list of files with their digests.")] = None
    run_id: Annotated[Line | None, Field(description="MLflow run that made it.")] = None
    model_root: Annotated[Phrase | None, Field(description="Artifact location of the model's files.")] = None
    run_root: Annotated[Phrase | None, Field(description="Artifact location of the run's files.")] = None
    files: Files = ()
    replicas: Annotated[int, Field(ge=0, le=100_000, description="Pods wanted.")] = 0
    ready_replicas: Annotated[int, Field(ge=0, le=100_000, description="Pods ready.")] = 0
    since: Annotated[Timestamp | None, Field(description="When it became stable, or the rollout started.")] = None


class RetiringVersion(ApiModel):
    """A version whose pods go away once nothing needs them."""

    version: Annotated[ModelVersionNumber, Field(description="Version of the registered model.")]
    revision: Annotated[int, Field(ge=1, le=2**31, description="Revision of the pod template.")] = 1
    since: Annotated[Timestamp, Field(description="When it stopped serving.")]


class Purpose(StrEnum):
    TRIAL = "Trial"
    BOOTSTRAP = "Bootstrap"
    FOLLOW = "Follow"
    PIN = "Pin"


class Candidate(ServedVersion):
    """The version that is on its way to serve."""

    purpose: Annotated[
        Purpose,
        Field(
            description="Trial: it goes through the steps. Bootstrap: nothing serves yet, smoke alone decides. "
            "Follow: the champion was moved to it. Pin: the spec names it."
        ),
    ] = Purpose.TRIAL

    step: Annotated[int, Field(ge=0, le=10, description="Index of the step that it is in.")] = 0
    step_name: Annotated[Line, Field(description="Name of that step.")] = ""
    step_since: Annotated[Timestamp | None, Field(description="When it entered the step.")] = None
    requests: Annotated[int, Field(ge=0, le=2**53, description="Requests answered in this step, as last seen.")] = 0
    labels: Annotated[int, Field(ge=0, le=2**53, description="Labelled rows in this step, as last seen.")] = 0


class AliasMove(ApiModel):
    """An alias move in two phases: written here first, then made in MLflow, then confirmed and removed from here."""

    alias: Annotated[AliasName, Field(description="Alias to move.")]
    to: Annotated[ModelVersionNumber | None, Field(description="Version that gets it; absent: it is removed.")] = None
    expect: Annotated[ModelVersionNumber | None, Field(description="Version that it should name before.")] = None
    reason: Annotated[Reason, Field(description="Why.")]
    since: Annotated[Timestamp, Field(description="When it was decided.")]


class Autoscaled(ApiModel):
    """The number of pods that the load asks for."""

    replicas: Annotated[int, Field(ge=1, le=1000, description="Serving pods, stable and candidate together.")]
    reason: Annotated[Reason, Field(description="Load: measured. Unknown: it can't be, so the number stays.")]
    message: Annotated[Phrase, Field(description="What was measured when the number changed, or why nothing is.")] = ""
    since: Annotated[Timestamp, Field(description="When the number was last changed.")]


class HandledRequests(ApiModel):
    """The annotations' values that were handled, each once."""

    abort: Annotated[Line | None, Field(description="Last handled modelcycle.dev/abort-requested.")] = None
    approve: Annotated[Line | None, Field(description="Last handled modelcycle.dev/approve-requested.")] = None
    retry: Annotated[Line | None, Field(description="Last handled modelcycle.dev/retry-requested.")] = None


class DeploymentStatus(ApiModel):
    """What is served and what is being tried. Written by the operator only."""

    conditions: Conditions = ()
    observed_generation: Annotated[int, Field(ge=0, le=2**53, description="Generation that this status is about.")] = 0
    summary: Annotated[
        Message, Field(description="One sentence for people: what serves, what is tried, what is wrong.")
    ] = ""
    replicas: Annotated[int, Field(ge=0, le=100_000, description="Pods that exist, stable and candidate.")] = 0
    ready_replicas: Annotated[int, Field(ge=0, le=100_000, description="Pods that are ready.")] = 0
    selector: Annotated[Line, Field(description="Label selector of the pods, for the scale subresource.")] = ""
    url: Annotated[Line, Field(description="Address of the Service inside of the cluster.")] = ""
    stable: Annotated[ServedVersion | None, Field(description="The version that serves.")] = None
    candidate: Annotated[Candidate | None, Field(description="The version that is on its way to serve.")] = None
    previous: Annotated[
        ServedVersion | None, Field(description="The version that served before: a pin to it needs no MLflow.")
    ] = None
    retiring: Annotated[
        tuple[RetiringVersion, ...],
        Field(max_length=4, json_schema_extra=LIST_ATOMIC, description="Versions whose pods are being removed."),
    ] = ()
    alias_moves: Annotated[
        tuple[AliasMove, ...],
        Field(max_length=4, json_schema_extra=list_map("alias"), description="Alias moves that are under way."),
    ] = ()
    verdicts: Annotated[
        tuple[VerdictRecord, ...],
        Field(max_length=20, json_schema_extra=LIST_ATOMIC, description="The latest verdicts, oldest first."),
    ] = ()
    autoscaled: Annotated[Autoscaled | None, Field(description="With autoscaling only.")] = None
    handled: Annotated[HandledRequests, Field(description="Annotations that were handled.")] = HandledRequests()
    owner: Annotated[bool, Field(description="Whether this deployment owns the model's aliases.")] = False
