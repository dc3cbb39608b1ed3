"""The command for what one would want next, ready to be pasted at three in the morning."""

from __future__ import annotations

import json

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import DeploymentStatus, Purpose, Verdict
from modelcycle.core.conditions import find
from modelcycle.core.text import sentence
from modelcycle.deployment.scene import DEGRADED, ModelDeployment

_NOW = "$(date -u +%FT%TZ)"


def advice(deployment: ModelDeployment, status: DeploymentStatus) -> str:
    """One command at most: the one for the most urgent wish."""
    candidate, stable = status.candidate, status.stable
    degraded = find(status.conditions, DEGRADED)
    if deployment.spec.model.version is not None:
        return "To follow the aliases again: " + _patch(deployment, {"model": {"version": None}})
    if candidate is not None and candidate.purpose is Purpose.TRIAL:
        return _of_trial(deployment, passed=candidate.step >= len(deployment.spec.rollout.steps))
    if degraded is not None and degraded.status == "True" and stable is not None and status.previous is not None:
        back = _patch(deployment, {"model": {"version": status.previous.version}})
        return f"To go back to version {status.previous.version}: {back}"
    latest = status.verdicts[-1] if status.verdicts else None
    if latest is not None and latest.verdict is Verdict.REJECTED:
        again = annotate(deployment, names.ANNOTATION_RETRY, f"{latest.version} {_NOW}")
        rejected = sentence(f"version {latest.version} was rejected: {latest.reason}: {latest.message}")
        return f"{rejected} To try it again: {again}"
    return ""


def _of_trial(deployment: ModelDeployment, *, passed: bool) -> str:
    if deployment.spec.rollout.paused:
        return "To go on: " + _patch(deployment, {"rollout": {"paused": False}})
    if passed:
        return "To approve it: " + annotate(deployment, names.ANNOTATION_APPROVE, _NOW)
    return "To stop it: " + annotate(deployment, names.ANNOTATION_ABORT, _NOW)


def annotate(deployment: ModelDeployment, annotation: str, value: str) -> str:
    return f'{_kubectl(deployment, "annotate")} --overwrite {annotation}="{value}"'


def _patch(deployment: ModelDeployment, spec: dict[str, object]) -> str:
    return f"{_kubectl(deployment, 'patch')} --type merge -p '{json.dumps({'spec': spec})}'"


def _kubectl(deployment: ModelDeployment, verb: str) -> str:
    return f"kubectl -n {deployment.namespace} {verb} md {deployment.name}"
