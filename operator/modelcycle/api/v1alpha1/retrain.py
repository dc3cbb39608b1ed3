"""``RetrainPolicy``: when is the model of that deployment no longer good, and what to do then."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from modelcycle.api.v1alpha1.common import (
    ApiModel,
    DecimalString,
    Duration,
    EndpointName,
    Extent,
    LabelName,
    ObjectName,
    Probability,
    UnsignedDecimal,
    cel,
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
    mode: Annotated[
        Mode,
        Field(
            description="Observe: only say what would be done, with its cooldown. Enforce: do it; what was only "
            "observed before holds nothing back."
        ),
    ] = Mode.OBSERVE
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
