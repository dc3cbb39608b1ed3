"""Small valid resources of each kind, and a training in which every field is set."""

from __future__ import annotations

import copy
from typing import Any

from modelcycle.api.v1alpha1.common import API_VERSION
from tests.integration.api.client import Manifest

_DATA = {"name": "market", "path": "/data", "persistentVolumeClaim": {"claimName": "market"}}

TRAINING_SPEC = {"image": "localhost/modelcycle/training:0.1.0", "register": {"model": "default.hedge"}}
FULL_TRAINING_SPEC = {
    "image": "localhost/modelcycle/training:0.1.0",
    "imagePullPolicy": "Always",
    "imagePullSecrets": ["pull"],
    "command": ["python"],
    "args": ["/workspace/train.py"],
    "parameters": [{"name": "units", "value": "16"}],
    "env": [
        {"name": "LEVEL", "value": "info"},
        {"name": "TOKEN", "secretKeyRef": {"name": "vendor", "key": "token"}},
        {"name": "REGION", "configMapKeyRef": {"name": "site", "key": "region"}},
    ],
    "data": [_DATA],
    "resources": {"cpu": "2", "cpuLimit": "4", "memory": "4Gi", "ephemeralStorage": "10Gi", "gpu": 1},
    "placement": {
        "nodeSelector": [{"key": "disk", "value": "ssd"}],
        "tolerations": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}],
        "priorityClassName": "research",
    },
    "serviceAccountName": "trainer",
    "configMap": "hedge-training",
    "seed": 7,
    "retries": {"userErrors": 1, "disruptions": 5, "infrastructure": 2},
    "deadlineSeconds": 3600,
    "pendingDeadlineSeconds": 600,
    "ttlSecondsAfterFinished": 60,
    "mlflow": "research",
    "experiment": "oil/hedge",
    "register": {"model": "default.hedge", "alias": "challenger"},
    "asOf": "2006-12-29T21:00:00Z",
    "holdout": {"extent": {"rows": 60}, "gap": {"rows": 1}},
    "suspend": False,
    "nonce": "1",
}
DEPLOYMENT_SPEC = {"model": {"name": "default.hedge"}}
FULL_DEPLOYMENT_SPEC = {
    "model": {"name": "default.hedge", "aliases": {"champion": "best", "challenger": "next"}},
    "replicas": 4,
    "rollout": {
        "steps": [
            {"name": "smoke", "smoke": {"absoluteTolerance": "0.01"}},
            {"name": "quarter", "replicas": {"percent": 25, "minLabels": 40, "onNoData": "Proceed"}},
            {"name": "half", "replicas": {"percent": 50, "maxWait": "2h"}},
        ],
        "limits": {"maxErrorRate": "0", "lossVetoAlpha": "0.001"},
        "approval": "Required",
    },
    "feedback": {"loss": "Pinball", "pinballQuantilePercent": 90},
    "serving": {"drainSeconds": 0},
}
POLICY_SPEC = {
    "deployment": {"name": "hedge"},
    "triggers": [{"name": "loss", "loss": {"window": {"rows": 60}}}],
    "gate": {"data": {"source": "market", "file": "table.csv", "timeColumn": "date", "labelColumn": "oil"}},
    "template": {"image": "localhost/modelcycle/training:0.1.0", "data": [_DATA]},
}
FULL_POLICY_SPEC = POLICY_SPEC | {
    "mode": "Enforce",
    "triggers": [
        {"name": "bound", "loss": {"window": {"time": "90d"}, "reference": "Absolute", "bound": "-0.5"}},
        {"name": "psi", "drift": {"of": "Features", "window": {"rows": 500}}, "persistence": {"rows": 20}},
        {"name": "weekly", "schedule": {"cron": "30 5 * * MON-FRI", "timeZone": "America/New_York"}},
        {"name": "old", "age": {"maxAge": "180d"}},
    ],
    "cooldown": {"rows": 60},
    "asOf": {"from": "Clock", "lag": "1d"},
}


def manifest(kind: str, spec: dict[str, Any], name: str = "hedge") -> Manifest:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": copy.deepcopy(spec)}
