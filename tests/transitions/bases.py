"""Specs to start from: a small one of each kind, and full ones in which every leaf is set, to no default of its own."""

from __future__ import annotations

from typing import Any

from tests.check.registry import MODEL

Spec = dict[str, Any]

_ENV: list[Spec] = [
    {"name": "LEVEL", "value": "info"},
    {"name": "TOKEN", "secretKeyRef": {"name": "vendor", "key": "token"}},
    {"name": "REGION", "configMapKeyRef": {"name": "site", "key": "region"}},
]
_RESOURCES: Spec = {"cpu": "2", "cpuLimit": "4", "memory": "4Gi", "ephemeralStorage": "10Gi", "gpu": 1}
_PLACEMENT: Spec = {
    "nodeSelector": [{"key": "disk", "value": "ssd"}],
    "tolerations": [{"key": "nvidia.com/gpu", "value": "yes", "effect": "NoSchedule"}],
    "priorityClassName": "research",
}
_DATA: Spec = {"name": "market", "path": "/data", "persistentVolumeClaim": {"claimName": "market", "subPath": "oil"}}

_FULL_TEMPLATE: Spec = {
    "image": "train:1",
    "imagePullPolicy": "Always",
    "imagePullSecrets": ["pull"],
    "command": ["python"],
    "args": ["/workspace/train.py"],
    "parameters": [{"name": "units", "value": "16"}],
    "env": _ENV,
    "data": [_DATA, {"name": "rates", "path": "/rates", "persistentVolumeClaim": {"claimName": "rates"}}],
    "resources": _RESOURCES,
    "placement": _PLACEMENT,
    "serviceAccountName": "trainer",
    "configMap": "code",
    "seed": 7,
    "retries": {"userErrors": 1, "disruptions": 1, "infrastructure": 1},
    "deadlineSeconds": 40_000,
    "pendingDeadlineSeconds": 600,
    "ttlSecondsAfterFinished": 1200,
    "mlflow": "other",
    "experiment": "oil/hedge",
}

SMALL_TRAINING: Spec = {"image": "train:1", "register": {"model": MODEL}}
FULL_TRAINING: Spec = _FULL_TEMPLATE | {
    "register": {"model": MODEL, "alias": "challenger"},
    "asOf": "2006-12-29T21:00:00Z",
    "holdout": {"extent": {"rows": 60}, "gap": {"rows": 1}},
    "suspend": False,
    "nonce": "1",
}
TIMED_TRAINING: Spec = FULL_TRAINING | {"holdout": {"extent": {"time": "30d"}, "gap": {"time": "1d"}}}

SMALL_DEPLOYMENT: Spec = {"model": {"name": MODEL}}
FULL_DEPLOYMENT: Spec = {
    "model": {"name": MODEL, "aliases": {"champion": "best", "challenger": "next"}, "follow": False},
    "replicas": 4,
    "autoscaling": {"maxReplicas": 6, "inFlight": "2"},
    "mlflow": "other",
    "prometheus": "other",
    "image": "serve:2",
    "imagePullSecrets": ["pull"],
    "env": _ENV,
    "resources": _RESOURCES,
    "placement": _PLACEMENT,
    "serving": {"maxRequestsPerConnection": 50, "maxBodyBytes": 2048, "drainSeconds": 30},
    "feedback": {"loss": "Pinball", "pinballQuantilePercent": 90, "duplicateWindowRows": 5000},
    "rollout": {
        "steps": [
            {
                "name": "check",
                "smoke": {"absoluteTolerance": "0.01", "relativeTolerance": "0.02", "maxWait": "30m"},
            },
            {
                "name": "quarter",
                "replicas": {
                    "percent": 25,
                    "minRequests": 60,
                    "minLabels": 0,
                    "maxWait": "30m",
                    "onNoData": "Fail",
                },
            },
            {"name": "most", "replicas": {"percent": 75, "minRequests": 80, "maxWait": "1h", "onNoData": "Hold"}},
        ],
        "limits": {
            "maxErrorRate": "0.005",
            "latencyPercentile": 75,
            "maxLatencyIncreasePercent": 50,
            "latencyFloorMilliseconds": 20,
            "lossVetoLabels": 50,
            "lossVetoAlpha": "0.02",
        },
        "approval": "None",
        "paused": False,
    },
}
PINNED_DEPLOYMENT: Spec = FULL_DEPLOYMENT | {"model": {"name": MODEL, "version": "2"}}

SMALL_POLICY: Spec = {
    "deployment": {"name": "hedge"},
    "mode": "Enforce",
    "triggers": [{"name": "loss", "loss": {"window": {"rows": 60}, "reference": "Absolute", "bound": "1.5"}}],
    "gate": {"data": {"source": "market", "file": "table.csv", "timeColumn": "date", "labelColumn": "oil"}},
    "template": {"image": "train:1", "data": [_DATA]},
}
FULL_POLICY: Spec = {
    "deployment": {"name": "hedge"},
    "mode": "Enforce",
    "suspend": False,
    "triggers": [
        {
            "name": "bound",
            "loss": {
                "window": {"rows": 60},
                "reference": "Absolute",
                "factorPercent": 150,
                "bound": "1.5",
                "minRows": 50,
            },
        },
        {
            "name": "best",
            "loss": {"window": {"time": "1d"}, "reference": "Version", "factorPercent": 400, "minRows": 30},
        },
        {
            "name": "psi",
            "drift": {"of": "Features", "window": {"rows": 300}, "threshold": "0.3", "alpha": "0.01", "minRows": 100},
            "persistence": {"rows": 500},
        },
        {
            "name": "moved",
            "drift": {"of": "Predictions", "window": {"time": "2d"}, "threshold": "0.03", "minRows": 150},
            "persistence": {"time": "9d"},
        },
        {"name": "weekly", "schedule": {"cron": "30 5 * * MON", "timeZone": "America/New_York"}},
        {"name": "old", "age": {"maxAge": "180d"}},
    ],
    "cooldown": {"time": "1h"},
    "minNewRows": 10,
    "budget": {"trainings": 3, "per": "7d"},
    "asOf": {"from": "Clock", "lag": "1h"},
    "gate": {
        "data": {
            "source": "market",
            "file": "table.csv",
            "timeColumn": "date",
            "labelColumn": "oil",
            "knownColumn": "known",
        },
        "holdout": {"rows": 50},
        "gap": {"rows": 5},
        "minRows": 30,
        "alpha": "0.2",
        "minImprovementPercent": 5,
        "maxLoss": "3",
        "deadlineSeconds": 600,
    },
    "template": _FULL_TEMPLATE,
    "historyLimit": 2,
    "prometheus": "other",
}
TIMED_POLICY: Spec = FULL_POLICY | {
    "cooldown": {"rows": 30},
    "gate": FULL_POLICY["gate"] | {"holdout": {"time": "30d"}, "gap": {"time": "1d"}},
}

BASES: dict[str, dict[str, Spec]] = {
    "ModelTraining": {"small": SMALL_TRAINING, "full": FULL_TRAINING, "timed": TIMED_TRAINING},
    "ModelDeployment": {"small": SMALL_DEPLOYMENT, "full": FULL_DEPLOYMENT, "pinned": PINNED_DEPLOYMENT},
    "RetrainPolicy": {"small": SMALL_POLICY, "full": FULL_POLICY, "timed": TIMED_POLICY},
}
