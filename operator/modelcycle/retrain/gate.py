"""The verdict of an evaluation Job, from the last words of its pod."""

from __future__ import annotations

import json
from typing import Any

from pydantic import ValidationError

from modelcycle.api.v1alpha1.retrain_status import GateOutcome, GateResult
from modelcycle.core.observed import ContainerView, JobView, PodView
from modelcycle.retrain.children import GATE


def result(job: JobView, pods: tuple[PodView, ...]) -> GateResult:
    """What the ended Job says. Whatever can't be understood is Unknown: it neither passes nor rejects."""
    pod = newest(pods)
    if pod is None:
        return _unknown("VerdictLost", "the evaluation's pod is gone; its evidence may still be in MLflow")
    if job.complete:
        return parse(_said(pod, GATE))
    stuck = next((c for c in pod.containers if c.exit_code), None)
    why = _message(stuck.terminated_message if stuck else None) or job.failed_message or job.failed_reason or ""
    return _unknown("EvaluationFailed", f"{stuck.name if stuck else job.name} failed: {why}")


def newest(pods: tuple[PodView, ...]) -> PodView | None:
    """Of several tries the last one."""
    return max(pods, key=lambda pod: pod.created, default=None)


def parse(text: str | None) -> GateResult:
    """The termination message of docs/reference/pods.md as a result."""
    document = _document(text)
    if document is None:
        return _unknown("VerdictUnreadable", "the evaluation ended without a verdict")
    try:
        return GateResult.model_validate({name: value for name, value in document.items() if value is not None})
    except ValidationError as error:
        return _unknown(
            "VerdictUnreadable", f"the evaluation's verdict can't be understood: {error.errors()[0]['msg']}"
        )


def _unknown(reason: str, message: str) -> GateResult:
    return GateResult(outcome=GateOutcome.UNKNOWN, reason=reason, message=message)


def _said(pod: PodView, name: str) -> str | None:
    container: ContainerView | None = next((c for c in pod.containers if c.name == name), None)
    return container.terminated_message if container else None


def _message(text: str | None) -> str | None:
    document = _document(text)
    return str(document.get("message")) if document else text


def _document(text: str | None) -> dict[str, Any] | None:
    try:
        value = json.loads(text or "")
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.get("modelcycle") == 1 else None
