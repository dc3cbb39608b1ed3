"""``RetrainPolicy``: when is the model of that deployment no longer good, and what to do then."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelcycle.api.v1alpha1.common import (
    LIST_ATOMIC,
    ApiModel,
    Conditions,
    DecimalString,
    Duration,
    EndpointName,
    Extent,
    LabelName,
    Line,
    Message,
    ModelVersionNumber,
    Note,
    ObjectName,
    Phrase,
    Probability,
    Reason,
    Timestamp,
    UnsignedDecimal,
    cel,
    clipped,
    exactly_one_of,
    list_map,
    validations,
)
from modelcycle.api.v1alpha1.training import TrainingTemplate


class DeploymentReference(ApiModel):
    """A ModelDeployment of this namespace."""

    name: Annotated[ObjectName, Field(description="Name of the ModelDeployment, in this namespace.")]


class LossReference(StrEnum):
    ABSOLUTE = "Absolute"
    VERSION = "Version"
    BEST = "Best"


class LossTrigger(ApiModel):
    """Fires when the mean loss of the window is above its bound."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "self.reference != 'Absolute' || has(self.bound)",
                "an Absolute reference needs bound",
                ".bound",
            )
        )
    )

    window: Annotated[Extent, Field(description="The latest labelled rows, or time, over which the mean is taken.")]
    reference: Annotated[
        LossReference,
        Field(
            description="Absolute: bound alone. Version: the loss that the version had at its training, times the "
            "factor. Best: the best such loss of all versions that served, times the factor."
        ),
    ] = LossReference.VERSION
    factor_percent: Annotated[
        int, Field(ge=1, le=100_000, description="Percent of the reference above which it fires.")
    ] = 120
    bound: Annotated[DecimalString | None, Field(description="Mean loss above which it fires.")] = None
    min_rows: Annotated[int, Field(ge=1, le=1_000_000_000, description="With fewer labelled rows it is Unknown.")] = 40


class DriftOf(StrEnum):
    FEATURES = "Features"
    PREDICTIONS = "Predictions"


class DriftTrigger(ApiModel):
    """Fires when the population stability index is above max(threshold, chi2_{B-1} (1/n + 1/m))."""

    of: Annotated[DriftOf, Field(description="Features: any of them, corrected for their number. Or Predictions.")]
    window: Annotated[Extent, Field(description="The latest rows, or time, that are compared with the baseline.")]
    threshold: Annotated[UnsignedDecimal, Field(description="Population stability index above which it fires.")] = "0.2"
    alpha: Annotated[Probability, Field(description="False-alarm rate of the chi-squared floor.")] = "0.001"
    min_rows: Annotated[int, Field(ge=10, le=1_000_000_000, description="With fewer rows it is Unknown.")] = 200


class ScheduleTrigger(ApiModel):
    """Fires at the times of a cron expression."""

    cron: Annotated[
        str,
        Field(
            pattern=r"^[0-9*/,-]+ [0-9*/,-]+ [0-9*/,-]+ [0-9A-Za-z*/,-]+ [0-9A-Za-z*/,-]+$",
            max_length=100,
            description="Five fields: minute, hour, day of month, month, day of week.",
        ),
    ]
    time_zone: Annotated[
        str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$", max_length=64, description="IANA time zone.")
    ] = "UTC"


class AgeTrigger(ApiModel):
    """Fires when the serving version is this old."""

    max_age: Annotated[Duration, Field(description="Time since the version became champion.")]


class Trigger(ApiModel):
    """One reason to retrain."""

    model_config = ConfigDict(json_schema_extra=validations(exactly_one_of("loss", "drift", "schedule", "age")))

    name: Annotated[LabelName, Field(description="Name of the trigger, for status and events.")]
    loss: Annotated[LossTrigger | None, Field(description="The live loss got worse.")] = None
    drift: Annotated[DriftTrigger | None, Field(description="Features or predictions are distributed otherwise.")] = (
        None
    )
    schedule: Annotated[ScheduleTrigger | None, Field(description="It is time, by the calendar.")] = None
    age: Annotated[AgeTrigger | None, Field(description="The version is old.")] = None
    persistence: Annotated[
        Extent | None, Field(description="It must go on firing over so many further rows, or so long.")
    ] = None


class Budget(ApiModel):
    """How many trainings the policy may start in a sliding time."""

    trainings: Annotated[int, Field(ge=1, le=100, description="At most so many trainings.")] = 10
    per: Annotated[Duration, Field(description="In this time.")] = "30d"


class AsOfFrom(StrEnum):
    WATERMARK = "Watermark"
    CLOCK = "Clock"


class AsOf(ApiModel):
    """Up to when a training may know the world."""

    from_: Annotated[
        AsOfFrom,
        Field(alias="from", description="Watermark: the greatest event time among the labels. Clock: now."),
    ] = AsOfFrom.WATERMARK
    lag: Annotated[Duration | None, Field(description="So much earlier; absent: none.")] = None


class GateData(ApiModel):
    """The table on which champion and challenger are compared: columns by name, one row a line, CSV with a header."""

    source: Annotated[LabelName, Field(description="Name of the entry of template.data that holds the table.")]
    file: Annotated[
        str,
        Field(
            pattern=r"^[-A-Za-z0-9_][-A-Za-z0-9_./]*$",
            max_length=256,
            description="File below its path (CSV).",
            json_schema_extra=validations(cel("!self.contains('..')", "file must not contain '..'")),
        ),
    ]
    time_column: Annotated[str, Field(max_length=128, description="Column with the event time.")]
    label_column: Annotated[str, Field(max_length=128, description="Column with the label.")]
    known_column: Annotated[
        str | None, Field(max_length=128, description="Column with the time when the row, label included, was known.")
    ] = None


class Gate(ApiModel):
    """A challenger is set only if it is better than the champion on rows that neither was trained on."""

    data: Annotated[GateData, Field(description="Where the rows are.")]
    holdout: Annotated[Extent, Field(description="The latest rows before asOf, withheld from training.")] = Extent(
        rows=60
    )
    gap: Annotated[Extent | None, Field(description="Purge and embargo between training and the withheld rows.")] = None
    min_rows: Annotated[
        int, Field(ge=2, le=1_000_000, description="With fewer paired rows the verdict is Unknown.")
    ] = 40
    alpha: Annotated[
        Probability, Field(description="Chance of passing a challenger that is no better (one-sided paired test).")
    ] = "0.1"
    min_improvement_percent: Annotated[
        int, Field(ge=0, le=100, description="The mean loss must be lower by at least this share.")
    ] = 0
    max_loss: Annotated[
        DecimalString | None,
        Field(description="Absolute bound of the mean loss; the whole gate when there is no champion."),
    ] = None
    deadline_seconds: Annotated[int, Field(ge=10, le=86_400, description="The evaluation must end in this time.")] = 900


class Mode(StrEnum):
    OBSERVE = "Observe"
    ENFORCE = "Enforce"


class RetrainSpec(ApiModel):
    """When to retrain the model of a deployment, and how to judge the result."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "has(self.template.data) && self.template.data.exists(d, d.name == self.gate.data.source)",
                "gate.data.source must be the name of an entry of template.data",
                ".gate.data.source",
            )
        )
    )

    deployment: Annotated[DeploymentReference, Field(description="The deployment that is watched.")]
    mode: Annotated[Mode, Field(description="Observe: only say what would be done. Enforce: do it.")] = Mode.OBSERVE
    suspend: Annotated[bool, Field(description="True judges nothing and starts nothing.")] = False
    triggers: Annotated[
        tuple[Trigger, ...],
        Field(min_length=1, max_length=10, json_schema_extra=list_map("name"), description="Any of them suffices."),
    ]
    cooldown: Annotated[
        Extent, Field(description="After a cycle's end nothing fires for so many rows, or so long.")
    ] = Extent(time="1d")
    min_new_rows: Annotated[
        int, Field(ge=0, le=1_000_000_000, description="A trigger fires again only after so many new labelled rows.")
    ] = 0
    budget: Annotated[Budget, Field(description="Bound on the number of trainings.")] = Budget()
    as_of: Annotated[AsOf, Field(description="Up to when a training may know the world.")] = AsOf()
    gate: Annotated[Gate, Field(description="How a challenger is judged before it is tried.")]
    template: Annotated[TrainingTemplate, Field(description="The training that is started.")]
    history_limit: Annotated[int, Field(ge=1, le=100, description="ModelTrainings of this policy that are kept.")] = 10
    prometheus: Annotated[EndpointName, Field(description="Prometheus endpoint that knows the serving metrics.")] = (
        "default"
    )


class EvidenceState(StrEnum):
    FIRING = "Firing"
    CLEAR = "Clear"
    UNKNOWN = "Unknown"


Number = Annotated[str, clipped(32), Field(max_length=32)]


class TriggerStatus(ApiModel):
    """What a trigger says now. Without data it is Unknown, which neither fires nor clears."""

    name: Annotated[LabelName, Field(description="Name of the trigger.")]
    state: Annotated[EvidenceState, Field(description="Firing, Clear or Unknown.")]
    reason: Annotated[Reason, Field(description="Why, as one word.")]
    value: Annotated[Number | None, Field(description="What was measured.")] = None
    threshold: Annotated[Number | None, Field(description="What it was compared with.")] = None
    rows: Annotated[int | None, Field(ge=0, le=2**53, description="Rows that it was measured on.")] = None
    detail: Annotated[Line | None, Field(description="Which feature, which time, ...")] = None
    since: Annotated[Timestamp | None, Field(description="Since when it is in this state.")] = None
    since_rows: Annotated[int | None, Field(ge=0, le=2**53, description="Evaluated rows when it came to it.")] = None


class Evaluated(ApiModel):
    """How far the policy has looked."""

    rows: Annotated[
        int, Field(ge=0, le=2**53, description="Labelled rows of the deployment, of all versions, that were looked at.")
    ] = 0
    watermark: Annotated[Timestamp | None, Field(description="Greatest event time among the labels.")] = None
    version: Annotated[ModelVersionNumber | None, Field(description="Champion that is judged.")] = None
    base_rows: Annotated[int, Field(ge=0, le=2**53, description="Rows that were counted up to baseTime.")] = 0
    base_time: Annotated[Timestamp | None, Field(description="Rows after it are counted anew each time.")] = None


class LossSource(StrEnum):
    TRAINING = "Training"
    LIVE = "Live"


class BaselineLoss(ApiModel):
    """The mean loss that a version's live loss is compared with."""

    version: Annotated[ModelVersionNumber, Field(description="The version.")]
    loss: Annotated[Number, Field(description="Its mean loss.")]
    source: Annotated[
        LossSource, Field(description="Training: from its baseline.json. Live: from its first labelled rows.")
    ]


class Evidence(ApiModel):
    """What a decision rests on, so that it can be checked later."""

    trigger: Annotated[LabelName | None, Field(description="Trigger that fired.")] = None
    query: Annotated[Phrase | None, Field(description="Query that was asked.")] = None
    time: Annotated[Timestamp | None, Field(description="Evaluation time of the query.")] = None
    value: Annotated[Number | None, Field(description="What was measured.")] = None
    threshold: Annotated[Number | None, Field(description="What it was compared with.")] = None
    rows: Annotated[int | None, Field(ge=0, le=2**53, description="Rows that it was measured on.")] = None
    watermark: Annotated[Timestamp | None, Field(description="Greatest event time among the labels then.")] = None
    detail: Annotated[Note | None, Field(description="More, for a person.")] = None


class GateOutcome(StrEnum):
    PASSED = "Passed"
    REJECTED = "Rejected"
    UNKNOWN = "Unknown"


class GateResult(ApiModel):
    """Verdict of the evaluation Job."""

    outcome: Annotated[GateOutcome, Field(description="Passed, Rejected, or Unknown when it can't be told.")]
    reason: Annotated[Reason, Field(description="Why, as one word.")]
    rows: Annotated[int, Field(ge=0, le=2**53, description="Paired rows.")] = 0
    champion_loss: Annotated[Number | None, Field(description="Mean loss of the champion on them.")] = None
    challenger_loss: Annotated[Number | None, Field(description="Mean loss of the challenger on them.")] = None
    p_value: Annotated[Number | None, Field(description="Of the one-sided paired test.")] = None
    message: Annotated[Note, Field(description="For a person.")] = ""


class CyclePhase(StrEnum):
    TRAINING = "Training"
    GATE = "Gate"
    CHALLENGER = "Challenger"
    ROLLOUT = "Rollout"


class Cycle(ApiModel):
    """The cycle that is under way: training, gate, challenger, rollout."""

    number: Annotated[int, Field(ge=1, le=1_000_000, description="Number of the cycle, from 1.")]
    phase: Annotated[CyclePhase, Field(description="How far it is.")]
    started_at: Annotated[Timestamp, Field(description="When it started.")]
    training: Annotated[LabelName, Field(description="Name of the ModelTraining.")]
    as_of: Annotated[Timestamp | None, Field(description="Up to when the training may know the world.")] = None
    evidence: Annotated[Evidence, Field(description="Why it was started.")] = Evidence()
    champion: Annotated[ModelVersionNumber | None, Field(description="Champion at its start.")] = None
    version: Annotated[ModelVersionNumber | None, Field(description="Version that the training became.")] = None
    gate: Annotated[GateResult | None, Field(description="Verdict of the gate.")] = None


class CycleOutcome(StrEnum):
    PROMOTED = "Promoted"
    TRAINING_FAILED = "TrainingFailed"
    GATE_REJECTED = "GateRejected"
    GATE_UNKNOWN = "GateUnknown"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    ABORTED = "Aborted"
    OBSERVED = "Observed"


class Decision(ApiModel):
    """One entry of the history: a cycle that ended, or what the policy would have done in Observe mode."""

    number: Annotated[int, Field(ge=0, le=1_000_000, description="Number of the cycle; 0 when none was started.")]
    outcome: Annotated[CycleOutcome, Field(description="How it ended.")]
    reason: Annotated[Reason, Field(description="Why, as one word.")]
    message: Annotated[Line, Field(description="Why, for a person.")] = ""
    time: Annotated[Timestamp, Field(description="When it ended.")]
    started_at: Annotated[Timestamp | None, Field(description="When it started.")] = None
    training: Annotated[LabelName | None, Field(description="Its ModelTraining.")] = None
    as_of: Annotated[Timestamp | None, Field(description="Up to when that knew the world.")] = None
    champion: Annotated[ModelVersionNumber | None, Field(description="Champion at its start.")] = None
    version: Annotated[ModelVersionNumber | None, Field(description="Version that it made.")] = None
    evidence: Annotated[Evidence, Field(description="What it rests on.")] = Evidence()
    gate: Annotated[GateResult | None, Field(description="Verdict of its gate.")] = None


class HandledPolicyRequests(ApiModel):
    """The annotations' values that were handled, each once."""

    retrain: Annotated[Line | None, Field(description="Last handled modelcycle.dev/retrain-requested.")] = None
    abort: Annotated[Line | None, Field(description="Last handled modelcycle.dev/abort-requested.")] = None


class RetrainStatus(ApiModel):
    """What the policy sees, does and did. Written by the operator only."""

    conditions: Conditions = ()
    observed_generation: Annotated[int, Field(ge=0, le=2**53, description="Generation that this status is about.")] = 0
    summary: Annotated[
        Message, Field(description="One sentence for people: is the model good, and what is under way.")
    ] = ""
    evaluated: Annotated[Evaluated, Field(description="How far the policy has looked.")] = Evaluated()
    triggers: Annotated[
        tuple[TriggerStatus, ...],
        Field(max_length=10, json_schema_extra=list_map("name"), description="What each trigger says now."),
    ] = ()
    cycle: Annotated[Cycle | None, Field(description="The cycle that is under way.")] = None
    last_cycle: Annotated[int, Field(ge=0, le=1_000_000, description="Number of the last cycle.")] = 0
    last_started_rows: Annotated[
        int | None, Field(ge=0, le=2**53, description="Evaluated rows when the last cycle started.")
    ] = None
    cooldown_until_rows: Annotated[int | None, Field(ge=0, le=2**53, description="No trigger fires before.")] = None
    cooldown_until: Annotated[Timestamp | None, Field(description="No trigger fires before.")] = None
    consecutive_failures: Annotated[
        int, Field(ge=0, le=1000, description="Cycles in a row that brought no better model; each doubles the wait.")
    ] = 0
    schedule_since: Annotated[
        Timestamp | None, Field(description="Times of schedules up to here have been handled.")
    ] = None
    starts: Annotated[
        tuple[Timestamp, ...],
        Field(max_length=100, json_schema_extra=LIST_ATOMIC, description="Starts that count against the budget."),
    ] = ()
    baseline: Annotated[BaselineLoss | None, Field(description="Reference loss of the present champion.")] = None
    best: Annotated[BaselineLoss | None, Field(description="Lowest reference loss of all versions that served.")] = None
    history: Annotated[
        tuple[Decision, ...],
        Field(max_length=20, json_schema_extra=LIST_ATOMIC, description="The latest 20 decisions, oldest first."),
    ] = ()
    handled: Annotated[HandledPolicyRequests, Field(description="Annotations that were handled.")] = (
        HandledPolicyRequests()
    )
