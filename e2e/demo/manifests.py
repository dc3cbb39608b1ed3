"""The replay's Job: the one thing of the demo that is no sample."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from e2e.demo.settings import DEPLOYMENT, POLICY, REPLAY, Settings

Json = dict[str, Any]
PLAYER = Path(__file__).with_name("player")
_CODE, _JOURNAL, _TABLE = "/opt/player", "/journal", "/data"
_USER = 65532


def replay_manifests(settings: Settings, image: str, url: str, first: str, last: str) -> list[Json]:
    """Account with the right to read two statuses, journal volume, code, and the Job."""
    replay = {
        "table": f"{_TABLE}/hedge.csv",
        "first": first,
        "last": last,
        # A journal of another stretch is not gone on with.
        "journal": f"{_JOURNAL}/{first}-{last}.jsonl",
        "url": url,
        "model": settings.model,
        "namespace": settings.namespace,
        "policy": POLICY,
        "deployment": DEPLOYMENT,
    }
    documents = [*_account(), _journal(), _code(), _job(image, replay)]
    for document in documents:
        document["metadata"]["namespace"] = settings.namespace
    return documents


def _account() -> list[Json]:
    rule = {
        "apiGroups": ["modelcycle.dev"],
        "resources": ["retrainpolicies", "modeldeployments"],
        "verbs": ["get"],
    }
    subject = {"kind": "ServiceAccount", "name": REPLAY}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": REPLAY}
    rbac = "rbac.authorization.k8s.io/v1"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": REPLAY}},
        {"apiVersion": rbac, "kind": "Role", "metadata": {"name": REPLAY}, "rules": [rule]},
        {
            "apiVersion": rbac,
            "kind": "RoleBinding",
            "metadata": {"name": REPLAY},
            "roleRef": role,
            "subjects": [subject],
        },
    ]


def _journal() -> Json:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": REPLAY}, "spec": spec}


def _code() -> Json:
    files = {path.name: path.read_text() for path in sorted(PLAYER.glob("*.py"))}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": REPLAY}, "data": files}


def _job(image: str, replay: Json) -> Json:
    mounts = {"code": _CODE, "journal": _JOURNAL, "data": _TABLE}
    container = {
        "name": "replay",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", "-m", "player"],
        "workingDir": str(Path(_CODE).parent),
        "env": [{"name": "REPLAY", "value": json.dumps(replay)}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in mounts.items()],
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": REPLAY,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": "code", "configMap": {"name": REPLAY}},
            {"name": "journal", "persistentVolumeClaim": {"claimName": REPLAY}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "market-data", "readOnly": True}},
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": REPLAY},
        # A pod that was taken away is followed by one that goes on where the journal ends.
        "spec": {"backoffLimit": 3, "template": {"spec": pod}},
    }
