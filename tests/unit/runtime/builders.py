"""Objects and parts that the tests of the runtime have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from modelcycle.constants import LABEL_MANAGED_BY, LABEL_OWNER_UID, MANAGED_BY
from modelcycle.core.plan import Manifest
from modelcycle.runtime.ports import Key

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TRAINING = Key("ModelTraining", "shop", "ranker")


def training(name: str = "ranker", *, uid: str = "uid-mt", version: int = 10, **parts: Any) -> Manifest:
    """A ModelTraining as the API server has it. ``parts`` replace top-level parts or, with ``metadata``, add to it."""
    metadata = {
        "namespace": "shop",
        "name": name,
        "uid": uid,
        "generation": 1,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-03-04T05:06:00Z",
    }
    spec = {"image": "localhost/train:1", "register": {"model": f"shop.{name}"}}
    extra = parts.pop("metadata", {})
    body = {"apiVersion": "modelcycle.dev/v1alpha1", "kind": "ModelTraining", "spec": spec, "status": {}}
    return body | parts | {"metadata": metadata | extra}


def job(
    name: str = "ranker-1", *, owner: str = "uid-mt", uid: str = "uid-job", version: int = 20, **parts: Any
) -> Manifest:
    metadata = {
        "namespace": "shop",
        "name": name,
        "uid": uid,
        "generation": 1,
        "resourceVersion": str(version),
        "creationTimestamp": "2026-03-04T05:06:00Z",
        "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_OWNER_UID: owner},
    }
    extra = parts.pop("metadata", {})
    return {"apiVersion": "batch/v1", "kind": "Job", "spec": {}} | parts | {"metadata": metadata | extra}


def wanted_job(name: str = "ranker-1", owner: str = "uid-mt", **spec: Any) -> Manifest:
    """A Job as a plan has it."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": "shop",
            "name": name,
            "labels": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_OWNER_UID: owner},
        },
        "spec": spec,
    }


def clock() -> datetime:
    return NOW
