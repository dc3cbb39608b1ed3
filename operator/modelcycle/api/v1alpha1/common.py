"""What the three resources share: field types with their bounds, references, conditions.

Every string, list and number that the API server stores has a bound, so that no resource can grow until it breaks the
controller that reads it. Thresholds are decimal strings, since floats do not survive a round trip through every client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from modelcycle.core.text import clip

GROUP = "modelcycle.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DURATION_PATTERN = r"^[1-9][0-9]{0,5}(s|m|h|d)$"
DECIMAL_PATTERN = r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$"
UNSIGNED_DECIMAL_PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,12})?$"
DNS_LABEL_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_NAME_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
LABEL_KEY_PATTERN = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE_PATTERN = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
MODEL_NAME_PATTERN = r"^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$"
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


_NOBODY_ASKS: set[str] = set()
"""Which fields were given and which are defaults: pydantic's own sets of that are half of what a model takes."""


class ApiModel(BaseModel):
    """Base of all that is read from or written to the API server: frozen, camelCase outside, snake_case inside."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def model_post_init(self, context: object, /) -> None:
        object.__setattr__(self, "__pydantic_fields_set__", _NOBODY_ASKS)

    def evolve(self, **changes: object) -> Self:
        """A copy with some fields changed, validated again (clipped, bounded), unlike ``model_copy``."""
        if all(getattr(self, name) == value for name, value in changes.items()):
            return self
        kept = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate(kept | changes)

    def manifest(self) -> dict[str, Any]:
        """The JSON form, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def clipped(limit: int) -> BeforeValidator:
    return BeforeValidator(lambda value: clip(value, limit) if isinstance(value, str) else value)


def _utc(value: datetime) -> datetime:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def _rfc3339(value: datetime) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- field types -----------------------------------------------------------------------------------------------------
Timestamp = Annotated[datetime, AfterValidator(_utc), PlainSerializer(_rfc3339, return_type=str, when_used="json")]
Duration = Annotated[str, Field(pattern=DURATION_PATTERN, max_length=7)]
DecimalString = Annotated[str, Field(pattern=DECIMAL_PATTERN, max_length=26)]
ObjectName = Annotated[str, Field(pattern=DNS_NAME_PATTERN, min_length=1, max_length=253)]
LabelName = Annotated[str, Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=63)]
ModelName = Annotated[str, Field(pattern=MODEL_NAME_PATTERN, min_length=1, max_length=200)]
ModelVersionNumber = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,8}$", max_length=9)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", max_length=64)]
# Texts of the status are clipped, never refused: a status that can't be written helps nobody.
Phrase = Annotated[str, clipped(512), Field(max_length=512)]
Note = Annotated[str, clipped(160), Field(max_length=160)]
Line = Annotated[str, clipped(256), Field(max_length=256)]
Message = Annotated[str, clipped(1024), Field(max_length=1024)]
Log = Annotated[str, clipped(1024), Field(max_length=1024)]
Reason = Annotated[str, Field(pattern=r"^[A-Za-z]([A-Za-z0-9]{0,62})$", max_length=63)]


def seconds(duration: str) -> int:
    """Length of a ``Duration`` such as ``90s``, ``5m``, ``2h``, ``7d`` in seconds."""
    return int(duration[:-1]) * _UNIT_SECONDS[duration[-1]]


def as_timedelta(duration: str) -> timedelta:
    return timedelta(seconds=seconds(duration))


# --- markers that end in the CRD -------------------------------------------------------------------------------------
def list_map(*keys: str) -> dict[str, Any]:
    """A list whose items are told apart by ``keys``, so that server-side apply merges it item by item."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
LIST_ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
MAP_ATOMIC: dict[str, Any] = {"x-kubernetes-map-type": "atomic"}
RULES = "x-kubernetes-validations"


def cel(rule: str, message: str, field_path: str | None = None) -> dict[str, Any]:
    """One validation rule that the API server itself evaluates; the message names the field and what to do."""
    return {"rule": rule, "message": message} | ({"fieldPath": field_path} if field_path else {})


def validations(*rules: dict[str, Any]) -> dict[str, Any]:
    return {RULES: list(rules)}


_ABOVE_0_BELOW_1 = cel("double(self) > 0.0 && double(self) < 1.0", "must be above 0 and below 1, for example 0.05")
_FROM_0_TO_1 = cel("double(self) >= 0.0 && double(self) <= 1.0", "must be from 0 to 1, for example 0.01")
Probability = Annotated[DecimalString, Field(json_schema_extra=validations(_ABOVE_0_BELOW_1))]
Share = Annotated[DecimalString, Field(json_schema_extra=validations(_FROM_0_TO_1))]
UnsignedDecimal = Annotated[str, Field(pattern=UNSIGNED_DECIMAL_PATTERN, max_length=25)]
_ABOVE_0 = cel("double(self) > 0.0", "must be above 0, for example 0.7")
PositiveDecimal = Annotated[UnsignedDecimal, Field(json_schema_extra=validations(_ABOVE_0))]


def exactly_one_of(*fields: str) -> dict[str, Any]:
    count = " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)
    return cel(f"{count} == 1", f"exactly one of {', '.join(fields)} must be set")


def fixed(*fields: str, extended: str) -> Callable[[dict[str, Any]], None]:
    """For a model's schema: ``fields`` can't be changed, added or removed after creation, ``extended`` only grows.

    The API server evaluates all of this anew with every write of the status, and looking up one property costs it a
    copy of the whole model's schema: compared as properties of ``self``, the fields were a third of such a write. A
    rule at the field itself looks nothing up. That a field which may be absent comes or goes can only be seen from
    above.
    """

    def extend(schema: dict[str, Any]) -> None:
        properties = schema["properties"]
        rules = {field: cel("self == oldSelf", _fixed(field)) for field in fields}
        rules[extended] = cel("self >= oldSelf", f"{extended} can only be extended")
        for field, rule in rules.items():
            properties[field][RULES] = [*properties[field].get(RULES, ()), rule]
        absent = [name for name in properties if name not in schema["required"] and _may_be_absent(properties[name])]
        if not set(absent) <= set(fields):
            raise ValueError(f"{sorted(set(absent) - set(fields))} need a default: what comes and goes is counted")
        schema[RULES] = [*schema.get(RULES, ()), _neither_come_nor_go(absent)]

    return extend


def _fixed(field: str) -> str:
    return f"{field} can't be changed after creation: apply a ModelTraining with a new name"


def _may_be_absent(schema: Mapping[str, Any]) -> bool:
    """Whether the API server sets no default."""
    return schema.get("default") in (None, [], "")


def _neither_come_nor_go(fields: Sequence[str]) -> dict[str, Any]:
    first = " : ".join(f"has(self.{field}) != has(oldSelf.{field}) ? '{field}'" for field in fields)
    # As many as there were, and none that was not there: half as many questions as asking of each on both sides.
    none_came = " && ".join(f"(!has(self.{field}) || has(oldSelf.{field}))" for field in fields)
    return {
        "rule": f"size(dyn(self)) == size(dyn(oldSelf)) && {none_came}",
        "message": f"can't be added or removed after creation: {', '.join(fields)}",
        "messageExpression": f"({first} : '') + ' can\\'t be changed after creation: "
        "apply a ModelTraining with a new name'",
    }


# --- shared structures -----------------------------------------------------------------------------------------------
class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One observation of the resource's state, as in Kubernetes' own API conventions."""

    type: Annotated[Reason, Field(description="What is observed, for example Ready.")]
    status: Annotated[ConditionStatus, Field(description="True, False, or Unknown when it can't be told.")]
    reason: Annotated[Reason, Field(description="Why, as one CamelCase word that programs can match.")]
    message: Annotated[Message, Field(description="Why, for a person, with what to do next.")] = ""
    observed_generation: Annotated[
        int, Field(ge=0, le=2**53, description="The metadata.generation that this was judged on.")
    ] = 0
    last_transition_time: Annotated[Timestamp, Field(description="When status last changed.")]


Conditions = Annotated[
    tuple[Condition, ...],
    Field(max_length=8, json_schema_extra=list_map("type"), description="The latest observations, one for each type."),
]


class Extent(ApiModel):
    """A stretch of labelled rows, or of time."""

    model_config = ConfigDict(json_schema_extra=validations(exactly_one_of("rows", "time")))

    rows: Annotated[
        int | None, Field(ge=1, le=1_000_000_000, description="The stretch as a number of labelled rows.")
    ] = None
    time: Annotated[Duration | None, Field(description="The stretch as a time, for example 30d.")] = None


class SecretKey(ApiModel):
    """A key of a Secret of the same namespace. The operator never reads it; the kubelet hands it to the pod."""

    name: Annotated[ObjectName, Field(description="Name of the Secret, in this namespace.")]
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253, description="Key in it.")]


class ConfigMapKey(ApiModel):
    """A key of a ConfigMap of the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the ConfigMap, in this namespace.")]
    key: Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", min_length=1, max_length=253, description="Key in it.")]


class EnvVar(ApiModel):
    """An environment variable of the pod, given here or taken from a Secret or ConfigMap of the same namespace."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            exactly_one_of("value", "secretKeyRef", "configMapKeyRef"),
            cel(
                "!self.name.startsWith('MODELCYCLE_') && !(self.name in ['MLFLOW_RUN_ID', 'MLFLOW_TRACKING_URI'])",
                "this name is set by the operator: MODELCYCLE_*, MLFLOW_RUN_ID and MLFLOW_TRACKING_URI can't be given",
                ".name",
            ),
        )
    )

    name: Annotated[
        str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", min_length=1, max_length=128, description="Variable name.")
    ]
    value: Annotated[str | None, Field(max_length=4096, description="The value itself.")] = None
    secret_key_ref: Annotated[SecretKey | None, Field(description="Take the value from this Secret.")] = None
    config_map_key_ref: Annotated[ConfigMapKey | None, Field(description="Take the value from this ConfigMap.")] = None


class TolerationEffect(StrEnum):
    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """A node taint that the pods put up with; without value any value of the key is tolerated."""

    key: Annotated[
        str, Field(pattern=LABEL_KEY_PATTERN, min_length=1, max_length=317, description="Its key, e.g. nvidia.com/gpu.")
    ]
    value: Annotated[
        str | None, Field(pattern=LABEL_VALUE_PATTERN, max_length=63, description="Its value; absent: any.")
    ] = None
    effect: Annotated[TolerationEffect | None, Field(description="Effect of the taint; absent: any.")] = None


class NodeLabel(ApiModel):
    """A label that a node must carry to run the pods."""

    key: Annotated[str, Field(pattern=LABEL_KEY_PATTERN, min_length=1, max_length=317, description="Key of the label.")]
    value: Annotated[str, Field(pattern=LABEL_VALUE_PATTERN, max_length=63, description="Its value.")]


Quantity = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$", max_length=16)]


class Resources(ApiModel):
    """What one pod gets. Memory is requested and limited alike, so that a pod is never killed for another's use."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "!has(self.cpuLimit) || quantity(self.cpuLimit).compareTo(quantity(self.cpu)) >= 0",
                "cpuLimit must not be less than cpu",
                ".cpuLimit",
            ),
            cel(
                "quantity(self.memory).isGreaterThan(quantity('0'))",
                "memory must be more than 0, for example 1Gi",
                ".memory",
            ),
        )
    )

    cpu: Annotated[Quantity, Field(description="CPUs requested, for example 500m or 2.")] = "500m"
    cpu_limit: Annotated[Quantity | None, Field(description="CPUs at most; absent: no limit.")] = None
    memory: Annotated[Quantity, Field(description="Memory requested and at most, for example 2Gi.")] = "1Gi"
    ephemeral_storage: Annotated[Quantity | None, Field(description="Local disk at most; absent: no limit.")] = None
    gpu: Annotated[int, Field(ge=0, le=64, description="GPUs (nvidia.com/gpu).")] = 0


class Placement(ApiModel):
    """On which nodes the pods may run."""

    node_selector: Annotated[
        tuple[NodeLabel, ...],
        Field(max_length=16, json_schema_extra=list_map("key"), description="Labels that the node must carry."),
    ] = ()
    tolerations: Annotated[
        tuple[Toleration, ...],
        Field(max_length=16, json_schema_extra=LIST_ATOMIC, description="Taints that the pods put up with."),
    ] = ()
    priority_class_name: Annotated[ObjectName | None, Field(description="Priority class of the pods.")] = None


class ImagePullPolicy(StrEnum):
    IF_NOT_PRESENT = "IfNotPresent"
    ALWAYS = "Always"
    NEVER = "Never"


ImageReference = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9._/:@]*$", min_length=1, max_length=512)]
EndpointName = Annotated[str, Field(pattern=DNS_LABEL_PATTERN, min_length=1, max_length=63)]
PullSecrets = Annotated[
    tuple[ObjectName, ...],
    Field(max_length=8, json_schema_extra=LIST_SET, description="Secrets of this namespace to pull the image with."),
]


class ModelFile(ApiModel):
    """One file of a model version, as recorded at registration and verified before serving."""

    path: Annotated[
        str, Field(pattern=r"^[ -~]+$", max_length=128, description="Path below the version, e.g. model/model.onnx.")
    ]
    size: Annotated[int, Field(ge=0, le=2**50, description="Size in bytes.")]
    sha256: Annotated[Sha256, Field(description="SHA-256 of the content.")]


Files = Annotated[
    tuple[ModelFile, ...],
    Field(max_length=40, json_schema_extra=list_map("path"), description="Every file that pods get, with its digest."),
]
