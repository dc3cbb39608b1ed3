"""What each field of a ModelDeployment changes."""

from __future__ import annotations

from tests.transitions.effects import Decision, Map, Row, When

POD = "Deployment.spec.template.spec"
SERVE, FETCH = f"{POD}.containers[serve]", f"{POD}.initContainers[fetch]"
ORDERS = f"{SERVE}.env[MODELCYCLE_SERVE]"
COURSE = "the course of a rollout"
VERSION = "which version serves"


def pods(*changes: str, why: str = "") -> Row:
    return Row(When.ROLLED, changes, (), why)


def judged(*changes: str, why: str = "") -> Row:
    return Row(When.NEXT_LOOK, changes, (COURSE,), why)


_NUMBERS = (
    "Deployment.spec.replicas",
    "status.replicas",
    "status.readyReplicas",
    "status.stable.replicas",
    "status.stable.readyReplicas",
    "status.candidate.replicas",
    "status.candidate.readyReplicas",
    "status.previous.replicas",
    "status.previous.readyReplicas",
)
_COURSE = (
    "status.autoscaled",
    "status.candidate",
    "status.stable",
    "status.previous",
    "status.verdicts",
    "status.retiring",
    "status.aliasMoves",
    "status.conditions[Progressing]",
    "status.conditions[Ready]",
    "status.conditions[Degraded]",
    "status.replicas",
    "status.readyReplicas",
    "Deployment.exists",
    "Deployment.spec.replicas",
    "MoveAlias",
    "SetVersionTags",
    "asks.prometheus",
)
MAP = Map(
    kind="ModelDeployment",
    decisions={
        COURSE: Decision("how a rollout goes on, and how it ends", _COURSE),
        VERSION: Decision(
            "which version is served or tried",
            (*_COURSE, "status.owner", "status.conditions[Stalled]", "ClaimModel.exists", "asks.mlflow"),
        ),
    },
    leaves={
        "model.name": Row(
            When.CREATION,
            (
                f"{ORDERS}.model",
                "MoveAlias.model",
                "ClaimModel.model",
                "SetVersionTags.model",
                "asks.mlflow.for",
            ),
            (VERSION,),
        ),
        "model.aliases.champion": Row(When.AT_ONCE, ("MoveAlias.alias",), (VERSION,)),
        "model.aliases.challenger": Row(
            When.AT_ONCE,
            ("MoveAlias.alias",),
            (VERSION,),
            "A rollout under way ends (Superseded), unless the new alias names the same version.",
        ),
        "model.version": Row(
            When.AT_ONCE,
            ("status.owner", "asks.mlflow"),
            (VERSION,),
            "While it is set, no alias is moved and the model is not owned.",
        ),
        "model.follow": Row(When.AT_ONCE, ("status.owner",), (VERSION,)),
        "replicas": Row(
            When.AT_ONCE,
            (*_NUMBERS, "PodDisruptionBudget.exists", "status.autoscaled"),
            (),
            "A single pod has no disruption budget: it would keep its node from being drained.",
        ),
        "autoscaling.maxReplicas": Row(
            When.NEXT_LOOK,
            (*_NUMBERS, "status.autoscaled", "asks.prometheus"),
            (),
            "Without autoscaling the number of pods is `replicas` again, at once.",
        ),
        "autoscaling.inFlight": Row(When.NEXT_LOOK, (*_NUMBERS, "status.autoscaled", "asks.prometheus")),
        "mlflow": Row(
            When.ROLLED,
            (
                f"{FETCH}.env[MODELCYCLE_FETCH].trackingUri",
                f"{FETCH}.envFrom",
                "ClaimModel.endpoint",
                "MoveAlias.endpoint",
                "SetVersionTags.endpoint",
                "asks.mlflow.endpoint",
            ),
        ),
        "prometheus": Row(When.NEXT_LOOK, ("asks.prometheus.endpoint",)),
        "image": pods(
            f"{SERVE}.image",
            f"{FETCH}.image",
            why="Without it a version keeps the image that it was started with, also when the operator is upgraded.",
        ),
        "imagePullSecrets[]": pods(f"{POD}.imagePullSecrets"),
        "env[].name": pods(f"{SERVE}.env"),
        "env[].value": pods(f"{SERVE}.env"),
        "env[].secretKeyRef.name": pods(f"{SERVE}.env"),
        "env[].secretKeyRef.key": pods(f"{SERVE}.env"),
        "env[].configMapKeyRef.name": pods(f"{SERVE}.env"),
        "env[].configMapKeyRef.key": pods(f"{SERVE}.env"),
        "resources.cpu": pods(
            f"{SERVE}.resources.requests.cpu",
            f"{FETCH}.resources.requests.cpu",
            f"{ORDERS}.cpus",
            why="The server's threads follow cpuLimit, and cpu where there is none.",
        ),
        "resources.cpuLimit": pods(f"{SERVE}.resources.limits.cpu", f"{FETCH}.resources.limits.cpu", f"{ORDERS}.cpus"),
        "resources.memory": pods(
            f"{SERVE}.resources.requests.memory",
            f"{SERVE}.resources.limits.memory",
            f"{FETCH}.resources.requests.memory",
            f"{FETCH}.resources.limits.memory",
        ),
        "resources.ephemeralStorage": pods(
            f"{SERVE}.resources.limits.ephemeral-storage", f"{FETCH}.resources.limits.ephemeral-storage"
        ),
        "resources.gpu": pods(f"{SERVE}.resources.limits.nvidia.com/gpu"),
        "placement.nodeSelector[].key": pods(f"{POD}.nodeSelector"),
        "placement.nodeSelector[].value": pods(f"{POD}.nodeSelector"),
        "placement.tolerations[].key": pods(f"{POD}.tolerations"),
        "placement.tolerations[].value": pods(f"{POD}.tolerations"),
        "placement.tolerations[].effect": pods(f"{POD}.tolerations"),
        "placement.priorityClassName": pods(f"{POD}.priorityClassName"),
        "serving.maxRequestsPerConnection": pods(f"{ORDERS}.maxRequestsPerConnection"),
        "serving.maxBodyBytes": pods(f"{ORDERS}.maxBodyBytes"),
        "serving.drainSeconds": pods(f"{ORDERS}.drainSeconds", f"{POD}.terminationGracePeriodSeconds"),
        "feedback.loss": pods(f"{ORDERS}.loss"),
        "feedback.pinballQuantilePercent": pods(f"{ORDERS}.pinballQuantile"),
        "feedback.duplicateWindowRows": pods(f"{ORDERS}.duplicateWindowRows"),
        "rollout.steps[].name": judged(
            why="A candidate is in the step that has the name of its own; where that is gone, in the one in its place."
        ),
        "rollout.steps[].smoke.absoluteTolerance": pods(f"{ORDERS}.smoke"),
        "rollout.steps[].smoke.relativeTolerance": pods(f"{ORDERS}.smoke"),
        "rollout.steps[].smoke.maxWait": judged(),
        "rollout.steps[].replicas.percent": judged("Deployment.spec.replicas"),
        "rollout.steps[].replicas.minRequests": judged(),
        "rollout.steps[].replicas.minLabels": judged(),
        "rollout.steps[].replicas.maxWait": judged(),
        "rollout.steps[].replicas.onNoData": judged(),
        "rollout.limits.maxErrorRate": judged(),
        "rollout.limits.latencyPercentile": judged(),
        "rollout.limits.maxLatencyIncreasePercent": judged(),
        "rollout.limits.latencyFloorMilliseconds": judged(),
        "rollout.limits.lossVetoLabels": judged(),
        "rollout.limits.lossVetoAlpha": judged(),
        "rollout.approval": judged(),
        "rollout.paused": judged(),
    },
)
