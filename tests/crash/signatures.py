"""What a request is, in words that are the same in each run of the same life."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, unquote

_UID5 = re.compile(r"-[0-9a-f]{5}-(?=[a-z0-9])")
_HASH = re.compile(r"\.[0-9a-f]{16}$")
_ID = re.compile(r"\b(m-)?([0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")
_EXPERIMENT = re.compile(r"(?<=artifacts/)\d+")
# Of a model's files one is as good as another, but for the one that is read.
_MODEL_FILE = re.compile(r"(?<=artifacts/\*/models/\*/artifacts/)(?!MLmodel$)\S+$")
_REASONS = {"modeltrainings": "Succeeded", "modeldeployments": "Progressing", "retrainpolicies": "Retraining"}


class Access(StrEnum):
    """``event``: not a request, but what a watch tells of one object."""

    WRITE = "write"
    READ = "read"
    LIST = "list"
    WATCH = "watch"
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request on its way. ``side``: kube, mlflow or prometheus. ``agent``: the program that sent it."""

    side: str
    method: str
    path: str
    body: bytes = b""
    query: str = ""
    agent: str = ""

    @property
    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body)) if self.body else {}


@dataclass(frozen=True, slots=True)
class Named:
    """A request, or a watch's event, by its signature."""

    side: str
    access: Access
    text: str


def plain(name: str, namespace: str = "") -> str:
    """A name without what differs from run to run: the uid's five characters, an event's hash, the namespace."""
    shorter = _HASH.sub("", _UID5.sub("-*-", name))
    return shorter.replace(f"{namespace}.", "") if namespace else shorter


def named(sent: Sent, namespace: str) -> Named | None:
    """None for the Lease, whose requests come by the clock."""
    match sent.side:
        case "kube":
            return _named_of_kube(sent)
        case "mlflow":
            reads = sent.method == "GET" or sent.path.endswith("search")
            text = _reading(sent, namespace) if reads else _of_mlflow(sent, namespace)
            return Named(sent.side, Access.READ if reads else Access.WRITE, text)
        case _:
            return Named(sent.side, Access.READ, _query(sent, namespace))


def signature(sent: Sent, namespace: str) -> str | None:
    """Of a request that changes something; None for all others, and for the Lease."""
    found = named(sent, namespace)
    return found.text if found is not None and found.access is Access.WRITE else None


def watched(plural: str) -> Named:
    """An event of a watch of this kind."""
    return Named("kube", Access.EVENT, f"EVENT {plural}")


def is_event(text: str) -> bool:
    return text.startswith("POST events")


def is_repetition(text: str, occurrence: int) -> bool:
    """A status that says the same stage once more in other words: their number depends on what else goes on."""
    return "/status (" in text and occurrence > 1


# --- Kubernetes ------------------------------------------------------------------------------------------------------
def _named_of_kube(sent: Sent) -> Named | None:
    parts = sent.path.partition("/namespaces/")[2].split("/")[1:]
    if not parts or parts[0] == "leases":
        return None
    if sent.method != "GET":
        return Named(sent.side, Access.WRITE, _of_kube(sent, parts))
    if len(parts) > 1:
        return Named(sent.side, Access.READ, f"GET {parts[0]}/{plain(parts[1])}")
    if "watch" in parse_qs(sent.query):
        return Named(sent.side, Access.WATCH, f"WATCH {parts[0]}")
    by = " (kopf)" if sent.agent.startswith("kopf") else ""
    return Named(sent.side, Access.LIST, f"LIST {parts[0]}{by}")


def _of_kube(sent: Sent, parts: list[str]) -> str:
    plural, name = parts[0], plain(parts[1]) if len(parts) > 1 else ""
    body = sent.json
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


# --- MLflow and Prometheus -------------------------------------------------------------------------------------------
def _of_mlflow(sent: Sent, namespace: str) -> str:
    what = f"{sent.method} mlflow {sent.path.rpartition('/mlflow/')[2]}"
    body = sent.json
    told = [plain(str(body[field]), namespace) for field in ("status", "alias", "version", "key") if field in body]
    return f"{what} ({' '.join(told)})" if told else what


def _reading(sent: Sent, namespace: str) -> str:
    """A search or a look-up with what it asks for, a file with its place."""
    asked = {name: values[0] for name, values in parse_qs(sent.query).items()} | (sent.json if sent.body else {})
    about = [str(asked[field]) for field in ("filter", "name", "version", "path", "experiment_name") if field in asked]
    text = " ".join([unquote(sent.path).partition("/2.0/")[2].replace("mlflow/", "", 1), *about])
    return f"{sent.method} mlflow {_anonymous(text, namespace)}"


def _query(sent: Sent, namespace: str) -> str:
    form = parse_qs(sent.body.decode())
    return f"{sent.method} prometheus {_anonymous(form.get('query', [''])[0], namespace)}"


def _anonymous(text: str, namespace: str) -> str:
    return plain(_MODEL_FILE.sub("(a file)", _EXPERIMENT.sub("*", _ID.sub("*", text))).replace(namespace, "*"))
