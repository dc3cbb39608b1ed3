"""What each field of a ModelTraining changes."""

from __future__ import annotations

from tests.transitions.effects import Decision, Map, Row, When

POD = "Job.spec.template.spec"
TRAIN = f"{POD}.containers[train]"
ENV = f"{TRAIN}.env"
KEY = "its key"
CODE = "RegisterModel.tags.code-digest"
COPY = ("KeepConfigMap", "status.code")
RETRIES = "whether another attempt follows a failure"
OVER = "when it is given up"


def fixed(*changes: str, decides: tuple[str, ...] = (), why: str = "") -> Row:
    """What is part of the key by which a training is known, and so can't be changed."""
    return Row(When.CREATION, changes, (*decides, KEY), why)


_ENDINGS = (
    "Job.exists",
    "status.attempts",
    "status.conditions",
    "status.failures",
    "status.run.ended",
    "EndRun.exists",
)
MAP = Map(
    kind="ModelTraining",
    decisions={
        KEY: Decision(
            "the key by which the training is known in MLflow",
            ("status.key", "EnsureRun.tags.key", "FindRegistered.key", "RegisterModel.tags.key"),
        ),
        RETRIES: Decision("whether another attempt follows a failure", (*_ENDINGS, "KeepConfigMap.exists")),
        OVER: Decision("when it is given up", (*_ENDINGS, "status.blockedReason")),
        "whether it runs": Decision(
            "whether anything runs",
            (
                *_ENDINGS,
                "status.blockedReason",
                "status.code",
                "status.key",
                "status.registered",
                "status.run",
                "status.startTime",
                "EnsureRun.exists",
                "FindRegistered.exists",
                "KeepConfigMap.exists",
                "RegisterModel.exists",
                "SetAlias.exists",
            ),
        ),
    },
    leaves={
        "image": fixed(f"{TRAIN}.image", CODE),
        "imagePullPolicy": fixed(f"{TRAIN}.imagePullPolicy"),
        "imagePullSecrets[]": fixed(f"{POD}.imagePullSecrets"),
        "command[]": fixed(f"{TRAIN}.command", CODE),
        "args[]": fixed(f"{TRAIN}.args", CODE),
        "parameters[].name": fixed(
            f"{ENV}[MODELCYCLE_PARAMETERS]", "EnsureRun.tags.parameters-digest", "RegisterModel.tags.parameters-digest"
        ),
        "parameters[].value": fixed(
            f"{ENV}[MODELCYCLE_PARAMETERS]", "EnsureRun.tags.parameters-digest", "RegisterModel.tags.parameters-digest"
        ),
        "env[].name": fixed(ENV, CODE, *COPY),
        "env[].value": fixed(ENV, CODE),
        "env[].secretKeyRef.name": fixed(ENV, why="The content of Secrets is never read, and in no digest."),
        "env[].secretKeyRef.key": fixed(ENV),
        "env[].configMapKeyRef.name": fixed(
            ENV, CODE, *COPY, why="The value is copied before anything starts; the key has the content, not the name."
        ),
        "env[].configMapKeyRef.key": fixed(ENV, CODE, *COPY),
        "data[].name": fixed(f"{ENV}[MODELCYCLE_DATA]", f"{TRAIN}.volumeMounts", f"{POD}.volumes"),
        "data[].path": fixed(f"{ENV}[MODELCYCLE_DATA]", f"{TRAIN}.volumeMounts"),
        "data[].persistentVolumeClaim.claimName": fixed(f"{POD}.volumes"),
        "data[].persistentVolumeClaim.subPath": fixed(f"{TRAIN}.volumeMounts"),
        "resources.cpu": fixed(f"{TRAIN}.resources.requests.cpu"),
        "resources.cpuLimit": fixed(f"{TRAIN}.resources.limits.cpu"),
        "resources.memory": fixed(f"{TRAIN}.resources.requests.memory", f"{TRAIN}.resources.limits.memory"),
        "resources.ephemeralStorage": fixed(f"{TRAIN}.resources.limits.ephemeral-storage"),
        "resources.gpu": fixed(f"{TRAIN}.resources.limits.nvidia.com/gpu"),
        "placement.nodeSelector[].key": fixed(f"{POD}.nodeSelector"),
        "placement.nodeSelector[].value": fixed(f"{POD}.nodeSelector"),
        "placement.tolerations[].key": fixed(f"{POD}.tolerations"),
        "placement.tolerations[].value": fixed(f"{POD}.tolerations"),
        "placement.tolerations[].effect": fixed(f"{POD}.tolerations"),
        "placement.priorityClassName": fixed(f"{POD}.priorityClassName"),
        "serviceAccountName": fixed(f"{POD}.serviceAccountName"),
        "configMap": fixed(
            f"{TRAIN}.volumeMounts[workspace]",
            f"{TRAIN}.workingDir",
            f"{POD}.volumes[workspace]",
            CODE,
            *COPY,
            why="Its content is copied before anything starts; the key has the content, not the name.",
        ),
        "seed": fixed(f"{ENV}[MODELCYCLE_SEED]"),
        "retries.userErrors": fixed(decides=(RETRIES,)),
        "retries.disruptions": fixed(decides=(RETRIES,)),
        "retries.infrastructure": fixed(decides=(RETRIES,)),
        "deadlineSeconds": Row(
            When.NEXT_ATTEMPT,
            ("Job.spec.activeDeadlineSeconds", f"{ENV}[MODELCYCLE_DEADLINE_SECONDS]"),
            (OVER,),
            "It can only be extended. A Job's pods can't be changed: a running one goes on with what it was told.",
        ),
        "pendingDeadlineSeconds": fixed(decides=(OVER,)),
        "ttlSecondsAfterFinished": Row(When.AT_ONCE, ("Job.exists",)),
        "mlflow": fixed(
            f"{ENV}[MLFLOW_TRACKING_URI]",
            f"{TRAIN}.envFrom",
            "EnsureRun.endpoint",
            "FindRegistered.endpoint",
            "RegisterModel.endpoint",
            "SetAlias.endpoint",
            "EndRun.endpoint",
        ),
        "experiment": fixed("EnsureRun.experiment"),
        "register.model": fixed(
            "EnsureRun.experiment",
            "FindRegistered.model",
            "RegisterModel.model",
            "SetAlias.model",
            "status.registered.model",
            why="The experiment has its name where spec.experiment does not say another.",
        ),
        "register.alias": fixed("SetAlias.exists"),
        "asOf": fixed(f"{ENV}[MODELCYCLE_AS_OF]", "EnsureRun.tags.as-of", "RegisterModel.tags.as-of"),
        "holdout.extent.rows": fixed(f"{ENV}[MODELCYCLE_HOLDOUT]"),
        "holdout.extent.time": fixed(f"{ENV}[MODELCYCLE_HOLDOUT]"),
        "holdout.gap.rows": fixed(f"{ENV}[MODELCYCLE_HOLDOUT]"),
        "holdout.gap.time": fixed(f"{ENV}[MODELCYCLE_HOLDOUT]"),
        "suspend": Row(
            When.AT_ONCE,
            ("Job.spec.suspend",),
            ("whether it runs",),
            "A pod that runs is ended; the same attempt starts anew when suspend is false again.",
        ),
        "nonce": fixed(),
    },
)
