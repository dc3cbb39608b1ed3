"""Is the candidate good enough on live requests? Pass, Fail, or Unknown: no data is neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from modelcycle.api.v1alpha1.deployment import Limits, ReplicasStep
from modelcycle.deployment.metrics import Traffic, percentile
from modelcycle.deployment.welch import p_value

COMPARABLE = 20
"""The serving version's latency says something from so many requests on."""


class Opinion(StrEnum):
    PASS = "Pass"  # noqa: S105
    FAIL = "Fail"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True)
class Ruling:
    """``requests`` and ``labels``: of the candidate in this step, as far as they are known."""

    opinion: Opinion
    reason: str
    message: str
    requests: int = 0
    labels: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """What is judged. ``stable``: None when no pod of the serving version is ready, so that there is no comparison."""

    limits: Limits
    step: ReplicasStep
    candidate: Traffic
    stable: Traffic | None


Check = Callable[[Case], Ruling | None]


def judge(case: Case) -> Ruling:
    """The first check that objects decides; a candidate that none objects to passes."""
    ruling = next((ruling for check in CHECKS if (ruling := check(case))), None) or _passed(case)
    return replace(ruling, requests=case.candidate.requests, labels=int(case.candidate.losses.rows))


def too_many_errors(case: Case) -> Ruling | None:
    """Fails as soon as the limit can't be kept any more, even if all requests up to the minimum were answered."""
    seen, bound = case.candidate, float(case.limits.max_error_rate)
    if seen.errors <= bound * max(seen.requests, case.step.min_requests):
        return None
    rate = seen.errors / max(1, seen.requests)
    message = f"{seen.errors} of {seen.requests} requests failed ({rate:.2%}), at most {bound:.2%} may"
    return Ruling(Opinion.FAIL, "ErrorRate", message)


def loss_is_worse(case: Case) -> Ruling | None:
    """The veto of the live loss: only above the floor of labels, and never a reason to pass."""
    if case.stable is None:
        return None
    candidate, stable, floor = case.candidate.losses, case.stable.losses, case.limits.loss_veto_labels
    if min(candidate.rows, stable.rows) < floor:
        return None
    p = p_value(candidate, stable)
    if p >= float(case.limits.loss_veto_alpha):
        return None
    message = (
        f"mean live loss {candidate.mean:.6g} over {candidate.rows:.0f} labels, the serving version has "
        f"{stable.mean:.6g} over {stable.rows:.0f} (Welch p = {p:.2g}, veto below {case.limits.loss_veto_alpha})"
    )
    return Ruling(Opinion.FAIL, "LossVeto", message)


def too_few_requests(case: Case) -> Ruling | None:
    if case.candidate.requests >= case.step.min_requests:
        return None
    return Ruling(Opinion.UNKNOWN, "TooFewRequests", f"fewer than {case.step.min_requests} requests so far")


def too_slow(case: Case) -> Ruling | None:
    percent, floor = case.limits.latency_percentile, case.limits.latency_floor_milliseconds / 1000
    latency = percentile(case.candidate.buckets, percent)
    if latency is None:
        return Ruling(Opinion.UNKNOWN, "NoLatency", "there are requests, but no latencies of them")
    if latency <= floor or case.stable is None:
        return None
    usual = percentile(case.stable.buckets, percent) if case.stable.requests >= COMPARABLE else None
    if usual is None:
        return Ruling(Opinion.UNKNOWN, "NothingToCompare", "the serving version had too few requests in this step")
    bound = max(floor, usual * (1 + case.limits.max_latency_increase_percent / 100))
    if latency <= bound:
        return None
    message = (
        f"latency p{percent} {latency * 1000:.4g} ms over {case.candidate.requests} requests, at most "
        f"{bound * 1000:.4g} ms allowed (the serving version has {usual * 1000:.4g} ms)"
    )
    return Ruling(Opinion.FAIL, "Latency", message)


def too_few_labels(case: Case) -> Ruling | None:
    if case.candidate.losses.rows >= case.step.min_labels:
        return None
    return Ruling(Opinion.UNKNOWN, "TooFewLabels", f"fewer than {case.step.min_labels} labelled rows so far")


CHECKS: tuple[Check, ...] = (too_many_errors, loss_is_worse, too_few_requests, too_slow, too_few_labels)


def _passed(case: Case) -> Ruling:
    latency = percentile(case.candidate.buckets, case.limits.latency_percentile) or 0.0
    message = (
        f"{case.candidate.errors} of {case.candidate.requests} requests failed, latency "
        f"p{case.limits.latency_percentile} {latency * 1000:.4g} ms, {case.candidate.losses.rows:.0f} labels"
    )
    if case.candidate.losses.rows > 0:
        message += f" with mean loss {case.candidate.losses.mean:.6g}"
    return Ruling(Opinion.PASS, "WithinLimits", message)
