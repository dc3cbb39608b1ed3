"""What a mutating request is, in words that are the same in each run of the same life."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

_UID5 = re.compile(r"-[0-9a-f]{5}-(?=[a-z0-9])")
_HASH = re.compile(r"\.[0-9a-f]{16}$")
_REASONS = {"modeltrainings": "Succeeded", "modeldeployments": "Progressing", "retrainpolicies": "Retraining"}


@dataclass(frozen=True, slots=True)
class Sent:
    """A request on its way. ``side``: kube or mlflow."""

    side: str
    method: str
    path: str
    body: bytes = b""

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body)) if self.body else {}


def plain(name: str, namespace: str = "") -> str:
    """A name without what differs from run to run: the uid's five characters, an event's hash, the namespace."""
    shorter = _HASH.sub("", _UID5.sub("-*-", name))
    return shorter.replace(f"{namespace}.", "") if namespace else shorter


def signature(sent: Sent, namespace: str) -> str | None:
    """None for what changes nothing, and for the Lease."""
    if sent.method == "GET" or sent.path.endswith("search"):
        return None
    return _of_mlflow(sent, namespace) if sent.side == "mlflow" else _of_kube(sent)


def is_event(text: str) -> bool:
    return text.startswith("POST events")


def is_repetition(text: str, occurrence: int) -> bool:
    """A status that says the same stage once more in other words: their number depends on what else goes on."""
    return "/status (" in text and occurrence > 1


def _of_kube(sent: Sent) -> str | None:
    parts = sent.path.partition("/namespaces/")[2].split("/")[1:]
    plural, name = parts[0], plain(parts[1]) if len(parts) > 1 else ""
    body = sent.json
    if plural == "leases":
        return None
    if plural == "events":
        about = body["regarding"]
        return f"POST events {body['reason']} of {about['kind']}/{plain(about['name'])}"
    what = f"{sent.method} {plural}/{name or plain(body['metadata']['name'])}"
    if parts[-1] == "status":
        return f"{what}/status ({_stage(plural, body['status'])})"
    replicas = body.get("spec", {}).get("replicas")
    return what if replicas is None else f"{what} ({replicas} replicas)"


def _stage(plural: str, status: dict[str, Any]) -> str:
    """How far the resource is, by what its status is about to say."""
    reasons = [one["reason"] for one in status["conditions"] if one["type"] == _REASONS[plural]]
    told: list[str] = [*reasons]
    told += [one["state"] for one in status.get("attempts", ())[-1:]]
    told += [f"{one['verdict']} {one['version']}" for one in status.get("verdicts", ())[-1:]]
    told += [f"move {one['alias']}" for one in status.get("aliasMoves", ())]
    told += [f"candidate {status['candidate']['version']}"] if "candidate" in status else []
    told += [f"gate {status['cycle']['gate']['outcome']}"] if "gate" in status.get("cycle", {}) else []
    told += ["recorded"] if any(one.get("recorded") for one in status.get("verdicts", ())[-1:]) else []
    told += ["run"] if "run" in status else []
    told += ["code"] if "code" in status else []
    told += ["run ended"] if status.get("run", {}).get("ended") else []
    return ", ".join(told)


def _of_mlflow(sent: Sent, namespace: str) -> str:
    what = f"{sent.method} mlflow {sent.path.rpartition('/mlflow/')[2]}"
    body = sent.json
    told = [plain(str(body[field]), namespace) for field in ("status", "alias", "version", "key") if field in body]
    return f"{what} ({' '.join(told)})" if told else what
