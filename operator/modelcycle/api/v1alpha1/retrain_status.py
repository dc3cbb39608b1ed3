"""What a ``RetrainPolicy`` sees, does and did: evidence, the cycle that is under way, and decisions."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelcycle.api.v1alpha1.common import (
    LIST_ATOMIC,
    ApiModel,
    Conditions,
    LabelName,
    Line,
    Message,
    ModelVersionNumber,
    Note,
    Reason,
    Timestamp,
    clipped,
    list_map,
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


QUERY_BYTES = 640
Query = Annotated[str, clipped(QUERY_BYTES), Field(max_length=QUERY_BYTES)]


class Evidence(ApiModel):
    """What a decision rests on, so that it can be checked later."""

    trigger: Annotated[LabelName | None, Field(description="Trigger that fired.")] = None
    query: Annotated[
        Query | None,
        Field(
            description="PromQL with the window's ends as instants (@), so that Prometheus gives the same whenever it "
            "is asked, for as long as it keeps the samples. Loss: gives value; a number that is added is what "
            "restarted pods had counted before. Drift: gives the window's counts, bin by bin, of the column that "
            "detail names, of which value is the PSI against modelcycle_baseline_...; there restarts within the window "
            "are not made up for. Absent where it is longer than there is room for."
        ),
    ] = None
    time: Annotated[Timestamp | None, Field(description="When it was judged.")] = None
    value: Annotated[Number | None, Field(description="What was measured, to six digits.")] = None
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
    champion: Annotated[
        ModelVersionNumber | None, Field(description="Champion at its start, then the one that the gate compares with.")
    ] = None
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
