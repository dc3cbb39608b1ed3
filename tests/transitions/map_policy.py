"""What each field of a RetrainPolicy changes."""

from __future__ import annotations

from tests.transitions.effects import Decision, Map, Row, When
from tests.transitions.map_training import MAP as TRAINING

GATE_POD = "GateJob.spec.template.spec"
GATE = f"{GATE_POD}.containers[gate]"
RULES = f"{GATE}.env[MODELCYCLE_GATE]"
STARTS = "whether a cycle starts"
SAYS = "what its trigger says"
ENDS = "how a cycle ends"

SHORTER = "A shorter one holds at once for a cooldown that is under way, counted from then on."

_CYCLE = (
    "status.cycle",
    "status.lastCycle",
    "status.lastStartedRows",
    "status.starts",
    "status.history",
    "status.cooldownUntil",
    "status.cooldownUntilRows",
    "status.consecutiveFailures",
    "status.conditions[Retraining]",
    "status.conditions[RetrainIneffective]",
    "ModelTraining.exists",
    "ModelTraining.spec.asOf",  # by when it starts
    f"{RULES}.asOf",
    "GateJob.exists",
    "SetAlias.exists",
    "ModelDeployment.status.stable.version",
    # Another version serves after a cycle, and it is watched from then on.
    "status.evaluated",
    "status.triggers",
    "status.conditions[DriftDetected]",
    "status.baseline",
    "status.best",
    "asks",
)


def trigger(*changes: str, why: str = "") -> Row:
    return Row(When.NEXT_LOOK, changes, (SAYS,), why)


def guard(*changes: str, when: When = When.NEXT_LOOK, why: str = "") -> Row:
    return Row(when, changes, (STARTS,), why)


def gate(*changes: str, decides: tuple[str, ...] = (), why: str = "") -> Row:
    return Row(When.NEXT_GATE, changes, decides, why)


def withheld(*names: str) -> Row:
    """The training withholds what the gate judges on: both have to know."""
    return Row(When.NEXT_CYCLE, (*names, f"{RULES}.holdout"))


# What of a training's data and place its gate has, too.
_OF_THE_GATE = {
    "data[].path": (f"{GATE}.volumeMounts", f"{RULES}.table"),
    "data[].persistentVolumeClaim.claimName": (f"{GATE_POD}.volumes",),
    "data[].persistentVolumeClaim.subPath": (f"{GATE}.volumeMounts",),
    "placement.nodeSelector[].key": (f"{GATE_POD}.nodeSelector",),
    "placement.nodeSelector[].value": (f"{GATE_POD}.nodeSelector",),
    "placement.tolerations[].key": (f"{GATE_POD}.tolerations",),
    "placement.tolerations[].value": (f"{GATE_POD}.tolerations",),
    "placement.tolerations[].effect": (f"{GATE_POD}.tolerations",),
    "placement.priorityClassName": (f"{GATE_POD}.priorityClassName",),
}
_AS_OF = ("ModelTraining.spec.asOf", f"{RULES}.asOf", "status.cycle.asOf", "status.history")
_NOT_IN_A_TEMPLATE = ("register.", "asOf", "holdout.", "suspend", "nonce")


def _template() -> dict[str, Row]:
    kept = [leaf for leaf in TRAINING.leaves if not leaf.startswith(_NOT_IN_A_TEMPLATE)]
    return {
        f"template.{leaf}": Row(
            When.NEXT_CYCLE, (f"ModelTraining.spec.{leaf.partition('[]')[0]}", *_OF_THE_GATE.get(leaf, ()))
        )
        for leaf in kept
    }


MAP = Map(
    kind="RetrainPolicy",
    decisions={
        STARTS: Decision("whether a cycle starts now", _CYCLE),
        SAYS: Decision("what its trigger says, and so whether a cycle starts", _CYCLE),
        ENDS: Decision("how a cycle ends", _CYCLE),
    },
    leaves={
        "deployment.name": Row(
            When.AT_ONCE,
            ("asks.prometheus.for",),
            (SAYS,),
            "A cycle under way goes on if the other deployment is of the same model, and is aborted if not.",
        ),
        "mode": guard(why="What was only observed holds nothing back when it is enforced."),
        "suspend": Row(
            When.AT_ONCE,
            ("status.conditions[Suspended]", "status.conditions[Ready]"),
            (STARTS,),
            "A cycle under way goes on.",
        ),
        "triggers[].name": trigger("status.triggers", why="Under another name it is another trigger: it begins anew."),
        "triggers[].loss.window.rows": trigger(),
        "triggers[].loss.window.time": trigger(),
        "triggers[].loss.reference": trigger("status.baseline"),
        "triggers[].loss.factorPercent": trigger("status.triggers"),
        "triggers[].loss.bound": trigger("status.triggers"),
        "triggers[].loss.minRows": trigger(),
        "triggers[].drift.of": trigger("asks.prometheus.for"),
        "triggers[].drift.window.rows": trigger(),
        "triggers[].drift.window.time": trigger(),
        "triggers[].drift.threshold": trigger("status.triggers"),
        "triggers[].drift.alpha": trigger("status.triggers"),
        "triggers[].drift.minRows": trigger(),
        "triggers[].schedule.cron": trigger("status.triggers"),
        "triggers[].schedule.timeZone": trigger("status.triggers"),
        "triggers[].age.maxAge": trigger("status.triggers"),
        "triggers[].persistence.rows": guard(),
        "triggers[].persistence.time": guard(),
        "cooldown.rows": guard("status.cooldownUntilRows", when=When.NEXT_END, why=SHORTER),
        "cooldown.time": guard("status.cooldownUntil", when=When.NEXT_END, why=SHORTER),
        "minNewRows": guard(),
        "budget.trainings": guard(),
        "budget.per": guard("status.starts"),
        "asOf.from": Row(When.NEXT_CYCLE, _AS_OF, (STARTS,)),
        "asOf.lag": Row(When.NEXT_CYCLE, _AS_OF),
        "gate.data.source": gate(f"{GATE}.volumeMounts", f"{GATE_POD}.volumes", f"{RULES}.table"),
        "gate.data.file": gate(f"{RULES}.table"),
        "gate.data.timeColumn": gate(f"{RULES}.timeColumn"),
        "gate.data.labelColumn": gate(f"{RULES}.labelColumn"),
        "gate.data.knownColumn": gate(f"{RULES}.knownColumn"),
        "gate.holdout.rows": withheld("ModelTraining.spec.holdout.extent"),
        "gate.holdout.time": withheld("ModelTraining.spec.holdout.extent"),
        "gate.gap.rows": withheld("ModelTraining.spec.holdout.gap"),
        "gate.gap.time": withheld("ModelTraining.spec.holdout.gap"),
        "gate.minRows": gate(f"{RULES}.minRows"),
        "gate.alpha": gate(f"{RULES}.alpha"),
        "gate.minImprovementPercent": gate(f"{RULES}.minImprovementPercent"),
        "gate.maxLoss": gate(f"{RULES}.maxLoss"),
        "gate.deadlineSeconds": gate("GateJob.spec.activeDeadlineSeconds", decides=(ENDS,)),
        "historyLimit": Row(When.AT_ONCE, ("ModelTraining.exists",)),
        "prometheus": Row(When.AT_ONCE, ("asks.prometheus.endpoint",)),
        **_template(),
    },
)
