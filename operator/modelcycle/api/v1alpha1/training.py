"""``ModelTraining``: train this once, reproducibly, and register the result."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelcycle.api.v1alpha1.common import (
    LIST_ATOMIC,
    ApiModel,
    Conditions,
    EndpointName,
    EnvVar,
    Extent,
    Files,
    ImagePullPolicy,
    ImageReference,
    Line,
    Log,
    Message,
    ModelName,
    ModelVersionNumber,
    ObjectName,
    Placement,
    PullSecrets,
    Reason,
    Resources,
    Sha256,
    Timestamp,
    cel,
    fixed,
    list_map,
    validations,
)


class Parameter(ApiModel):
    """A parameter of the training: logged to MLflow and given to the pod in ``MODELCYCLE_PARAMETERS``."""

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9_][-A-Za-z0-9_.]*$", min_length=1, max_length=128, description="Its name.")
    ]
    value: Annotated[str, Field(max_length=500, description="Its value, as text.")]


class VolumeSource(ApiModel):
    """A PersistentVolumeClaim of this namespace."""

    claim_name: Annotated[ObjectName, Field(description="Name of the PersistentVolumeClaim, in this namespace.")]
    sub_path: Annotated[
        str | None,
        Field(
            pattern=r"^[-A-Za-z0-9_.][-A-Za-z0-9_./]*$",
            max_length=256,
            description="Only this folder of the volume.",
            json_schema_extra=validations(cel("!self.contains('..')", "subPath must not contain '..'")),
        ),
    ] = None


class DataSource(ApiModel):
    """A data set that the pod finds mounted, read only, at ``path``."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!self.path.contains('..') && !self.path.endsWith('/') && "
                "!(self.path in ['/dev', '/etc', '/modelcycle', '/proc', '/sys', '/tmp', '/usr', '/workspace'])",
                "path must be a folder of its own, without '..' and not one that the pod itself needs, "
                "for example /data/prices",
                ".path",
            )
        )
    )

    name: Annotated[
        str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=40, description="Its name.")
    ]
    path: Annotated[
        str, Field(pattern=r"^/[-A-Za-z0-9_./]+$", min_length=2, max_length=256, description="Absolute mount path.")
    ]
    persistent_volume_claim: Annotated[VolumeSource, Field(description="The volume that holds the data.")]


class Retries(ApiModel):
    """How many more attempts each kind of failure gets. Each kind has a budget of its own."""

    user_errors: Annotated[
        int, Field(ge=0, le=10, description="After the code itself failed (it raised, NaN loss, out of memory).")
    ] = 0
    disruptions: Annotated[
        int, Field(ge=0, le=100, description="After the cluster took the pod away: eviction, preemption, drain.")
    ] = 10
    infrastructure: Annotated[
        int, Field(ge=0, le=20, description="After a failure of the node, a device, or one that can't be told.")
    ] = 3


class RegisterAlias(StrEnum):
    CHALLENGER = "challenger"


class Register(ApiModel):
    """Where the trained model goes in the registry."""

    model: Annotated[ModelName, Field(description="Registered model, by default allowed with prefix '<namespace>.'.")]
    alias: Annotated[
        RegisterAlias | None, Field(description="Set this alias on the new version; absent: none is set.")
    ] = None


class Holdout(ApiModel):
    """The latest rows up to asOf that are withheld from training, for a gate that judges the model on them."""

    extent: Annotated[Extent, Field(description="How many rows, or how much time, before asOf is withheld.")]
    gap: Annotated[
        Extent | None,
        Field(description="Purge and embargo: as much again, before the withheld rows, is in neither part."),
    ] = None


class TrainingTemplate(ApiModel):
    """What a training runs: shared by ModelTraining and the template of a RetrainPolicy."""

    image: Annotated[ImageReference, Field(description="Container image with the training code.")]
    image_pull_policy: Annotated[ImagePullPolicy, Field(description="When to pull it.")] = (
        ImagePullPolicy.IF_NOT_PRESENT
    )
    image_pull_secrets: PullSecrets = ()
    command: Annotated[
        tuple[Annotated[str, Field(max_length=4096)], ...],
        Field(max_length=32, json_schema_extra=LIST_ATOMIC, description="Entry point; absent: the image's own."),
    ] = ()
    args: Annotated[
        tuple[Annotated[str, Field(max_length=4096)], ...],
        Field(max_length=64, json_schema_extra=LIST_ATOMIC, description="Arguments of the entry point."),
    ] = ()
    parameters: Annotated[
        tuple[Parameter, ...],
        Field(max_length=64, json_schema_extra=list_map("name"), description="Parameters, logged and handed over."),
    ] = ()
    env: Annotated[
        tuple[EnvVar, ...],
        Field(max_length=64, json_schema_extra=list_map("name"), description="Environment variables."),
    ] = ()
    data: Annotated[
        tuple[DataSource, ...],
        Field(
            max_length=8,
            json_schema_extra=list_map("name")
            | validations(
                cel("self.all(d, self.exists_one(e, e.path == d.path))", "each path of data can be used only once")
            ),
            description="Data sets, mounted read only.",
        ),
    ] = ()
    resources: Annotated[Resources, Field(description="CPU, memory and GPUs of the pod.")] = Resources()
    placement: Annotated[Placement, Field(description="On which nodes the pod may run.")] = Placement()
    service_account_name: Annotated[
        ObjectName | None, Field(description="Service account of the pod; its token is not mounted.")
    ] = None
    config_map: Annotated[
        ObjectName | None,
        Field(
            description="A ConfigMap whose keys appear as files in /workspace, e.g. a training script. It is copied "
            "before anything starts: a later change is for later trainings."
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1, description="Seed, handed over in MODELCYCLE_SEED.")] = 0
    retries: Annotated[Retries, Field(description="How often each kind of failure is tried again.")] = Retries()
    deadline_seconds: Annotated[
        int,
        Field(
            ge=1,
            le=31_536_000,
            description="All attempts together must end within this time, each counted from the start of its Job: a "
            "pod that waits uses it up, too. What lies between attempts does not, nor does a suspension.",
        ),
    ] = 86_400
    pending_deadline_seconds: Annotated[
        int,
        Field(
            ge=10,
            le=2_592_000,
            description="A pod that can't start for this long ends the training, if deadlineSeconds does not before.",
        ),
    ] = 3_600
    ttl_seconds_after_finished: Annotated[
        int, Field(ge=0, le=31_536_000, description="Jobs and pods are removed this long after the end.")
    ] = 86_400
    mlflow: Annotated[EndpointName, Field(description="MLflow endpoint, by the name the administrator gave it.")] = (
        "default"
    )
    experiment: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][-A-Za-z0-9._/]*$",
            max_length=200,
            description="MLflow experiment; absent: '<namespace>/<registered model>'.",
        ),
    ] = None


# What makes one training the training that it is.
FIXED_FIELDS = (
    "image",
    "imagePullPolicy",
    "imagePullSecrets",
    "command",
    "args",
    "parameters",
    "env",
    "data",
    "resources",
    "placement",
    "serviceAccountName",
    "configMap",
    "seed",
    "retries",
    "pendingDeadlineSeconds",
    "mlflow",
    "experiment",
    "register",
    "asOf",
    "holdout",
    "nonce",
)


class TrainingSpec(TrainingTemplate):
    """One training. It can't be changed after creation, except to suspend it, to extend its deadline, or its TTL."""

    model_config = ConfigDict(json_schema_extra=fixed(*FIXED_FIELDS, extended="deadlineSeconds"))

    register_: Annotated[Register, Field(alias="register", description="Where the model goes in the registry.")]
    as_of: Annotated[
        Timestamp | None,
        Field(description="Nothing that became known later may be used (MODELCYCLE_AS_OF); absent: no limit."),
    ] = None
    holdout: Annotated[Holdout | None, Field(description="Rows withheld from training (MODELCYCLE_HOLDOUT).")] = None
    suspend: Annotated[bool, Field(description="True stops the pod and waits; false goes on.")] = False
    nonce: Annotated[
        str | None,
        Field(
            pattern=r"^[-A-Za-z0-9._]+$",
            max_length=64,
            description="Makes this training differ from an equal one that is already registered.",
        ),
    ] = None


class FailureClass(StrEnum):
    """What ended an attempt. Each class belongs to one budget of ``Retries`` or to none."""

    USER_ERROR = "UserError"
    DATA_ERROR = "DataError"
    NON_FINITE_LOSS = "NonFiniteLoss"
    OUT_OF_MEMORY = "OutOfMemory"
    IMAGE = "ImageUnavailable"
    CONFIG = "ConfigMissing"
    UNSCHEDULABLE = "Unschedulable"
    DISRUPTED = "Disrupted"
    NODE_LOST = "NodeLost"
    DEVICE = "DeviceFault"
    DEADLINE = "DeadlineExceeded"
    UNKNOWN = "Unknown"


class AttemptState(StrEnum):
    PENDING = "Pending"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


class Attempt(ApiModel):
    """One Job that was started for this training."""

    number: Annotated[int, Field(ge=1, le=1000, description="Attempt number, from 1.")]
    job: Annotated[ObjectName, Field(description="Name of the Job.")]
    state: Annotated[AttemptState, Field(description="How far it is.")] = AttemptState.PENDING
    started_at: Annotated[Timestamp | None, Field(description="When the Job was made.")] = None
    finished_at: Annotated[Timestamp | None, Field(description="When it ended.")] = None
    node: Annotated[Line | None, Field(description="Node that ran the pod.")] = None
    failure: Annotated[FailureClass | None, Field(description="What ended it, if it failed.")] = None
    exit_code: Annotated[int | None, Field(ge=-1, le=255, description="Exit code of the container.")] = None
    message: Annotated[Log | None, Field(description="The last words of the pod, or of Kubernetes about it.")] = None


class RunReference(ApiModel):
    """The MLflow run, made by the operator before the pod."""

    id: Annotated[str, Field(max_length=64, description="MLflow run id.")]
    experiment_id: Annotated[str, Field(max_length=64, description="MLflow experiment id.")]
    ended: Annotated[bool, Field(description="Whether the run has its final status in MLflow.")] = False


class RegisteredVersion(ApiModel):
    """The model version that this training became."""

    model: Annotated[ModelName, Field(description="Registered model.")]
    version: Annotated[ModelVersionNumber, Field(description="Version number.")]
    digest: Annotated[Sha256, Field(description="SHA-256 over the list of files with their digests.")]
    files: Files = ()


class DataDigest(ApiModel):
    """What the training read, as reported by the library in the pod."""

    digest: Annotated[Line, Field(description="Digest of exactly the rows that were read, with their schema.")]
    rows: Annotated[int, Field(ge=0, le=2**53, description="Number of rows.")]
    first: Annotated[Line | None, Field(description="Event time of the first row.")] = None
    last: Annotated[Line | None, Field(description="Event time of the last row.")] = None
    refused: Annotated[int, Field(ge=0, le=2**53, description="Rows refused since they lie after asOf.")] = 0


class KeptCode(ApiModel):
    """Digests of the immutable copies that all attempts use, made once before the first."""

    files: Annotated[
        Sha256 | None,
        Field(description="SHA-256 over the files of configMap; the copy's name ends in -files."),
    ] = None
    variables: Annotated[
        Sha256 | None,
        Field(description="SHA-256 over env[] from ConfigMaps; the copy's name ends in -variables."),
    ] = None


class TrainingStatus(ApiModel):
    """What became of the training. Written by the operator only."""

    conditions: Conditions = ()
    observed_generation: Annotated[int, Field(ge=0, le=2**53, description="Generation that this status is about.")] = 0
    summary: Annotated[Message, Field(description="One sentence for people: how it stands and what comes next.")] = ""
    key: Annotated[
        Sha256 | None,
        Field(description="sha256 of cluster, namespace, name, spec and content of its ConfigMaps: once means once."),
    ] = None
    start_time: Annotated[Timestamp | None, Field(description="When the first attempt started.")] = None
    completion_time: Annotated[Timestamp | None, Field(description="When it ended, well or not.")] = None
    running_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=2**40,
            description="Time of the ended attempts, each from the start of its Job, counted against the deadline.",
        ),
    ] = 0
    run: Annotated[RunReference | None, Field(description="The MLflow run.")] = None
    code: Annotated[KeptCode | None, Field(description="What it takes from ConfigMaps, as it was then.")] = None
    image_digest: Annotated[Line | None, Field(description="Digest of the image that ran.")] = None
    data: Annotated[DataDigest | None, Field(description="What was read.")] = None
    registered: Annotated[RegisteredVersion | None, Field(description="The version that was registered.")] = None
    attempts: Annotated[
        tuple[Attempt, ...],
        Field(max_length=20, json_schema_extra=list_map("number"), description="The latest attempts, oldest first."),
    ] = ()
    failures: Annotated[
        tuple[Annotated[FailureClass, Field()], ...],
        Field(max_length=150, json_schema_extra=LIST_ATOMIC, description="Class of every failed attempt, in order."),
    ] = ()
    suspended_since: Annotated[Timestamp | None, Field(description="Since when it is suspended.")] = None
    blocked_since: Annotated[Timestamp | None, Field(description="Since when the pod can't start.")] = None
    blocked_reason: Annotated[Reason | None, Field(description="Why the pod can't start.")] = None
