"""How many pods a deployment has: as many as the requests in flight need, within its bounds.

The rules are those of Kubernetes' autoscaler: a tolerance, up at once but not in one leap, down only when nothing in
the last five minutes needed the pods. What is not known changes nothing. The number goes to the status first; the
Deployments follow what is written there, so nobody else's ``replicas`` is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from modelcycle.api.v1alpha1.deployment import Autoscaled, Autoscaling, Candidate, DeploymentSpec, Purpose
from modelcycle.core.names import label_value
from modelcycle.core.plan import Event
from modelcycle.core.text import number_of
from modelcycle.deployment.scene import Draft, Scene
from modelcycle.deployment.shares import split, step_of, total
from modelcycle.deployment.template import cpus
from modelcycle.metricstore.load import PERIOD_SECONDS, WINDOW_SECONDS, InFlight, Load

TOLERANCE = 0.1
IN_FLIGHT_PER_CPU = 0.7
LEAP_FACTOR, LEAP_PODS = 2, 4
SETTLING = timedelta(minutes=2)
"""Twice the time over which a load is averaged: until then a step's shares of it are those of the step before, too."""
LOAD, UNKNOWN = "Load", "Unknown"


@dataclass(frozen=True, slots=True)
class Demand:
    """What there is to do, in requests in flight, for ``pods`` pods that aim at ``per_pod`` each.

    ``share``: the percentage of the pods that is the candidate's, where each version is to be judged by itself.
    ``may_shrink``: every pod told of its load, for the whole window, and no version is on its way.
    """

    pods: int
    per_pod: float
    stable: float
    candidate: float
    peak: float
    share: int | None
    may_shrink: bool


def needed(load: float, per_pod: float, pods: int) -> int:
    """Pods for ``load``; ``pods`` as they are where that is within the tolerance."""
    if abs(load / (pods * per_pod) - 1) <= TOLERANCE:
        return pods
    return ceil(load / per_pod)


def needed_by_both(demand: Demand, most: int) -> int:
    """The fewest pods whose split gives each version what it needs, so that the step keeps its shares."""
    if demand.share is None:
        return 0
    have = split(demand.pods, demand.share)
    stable = needed(demand.stable, demand.per_pod, have.stable) if demand.share < 100 else 0
    candidate = needed(demand.candidate, demand.per_pod, have.candidate)
    for pods in range(1, most):
        parts = split(pods, demand.share)
        if parts.stable >= stable and parts.candidate >= candidate:
            return pods
    return most


def replicas(demand: Demand, fewest: int, most: int) -> int:
    """The next number of pods, between ``fewest`` and ``most``."""
    together = needed(demand.stable + demand.candidate, demand.per_pod, demand.pods)
    wanted = max(together, needed_by_both(demand, most), needed(demand.peak, demand.per_pod, demand.pods))
    if wanted > demand.pods:
        wanted = min(wanted, max(LEAP_FACTOR * demand.pods, demand.pods + LEAP_PODS))
    elif not demand.may_shrink:
        wanted = demand.pods
    return min(most, max(fewest, wanted))


def scale(scene: Scene, draft: Draft) -> Draft:
    """The number of pods for the load, to the status."""
    rule, stable = scene.spec.autoscaling, scene.written.stable
    if rule is None:
        return draft.with_status(autoscaled=None)
    before = scene.written.autoscaled
    if before is None:
        first = "the requests in flight are not read yet"
        return draft.with_status(
            autoscaled=Autoscaled(replicas=scene.spec.replicas, reason=UNKNOWN, message=first, since=scene.now)
        ).again(timedelta(seconds=1))
    endpoint = scene.prometheus
    if endpoint is None:
        return _unknown(draft, before, f"no Prometheus endpoint {scene.spec.prometheus!r} for this namespace")
    request = InFlight(endpoint.name, scene.resource.namespace, label_value(scene.resource.name))
    draft = draft.watching((request,))
    fact = scene.observed.facts.get(request)
    patience = timedelta(seconds=4 * max(PERIOD_SECONDS, endpoint.scrape_seconds))
    if fact is None or fact.at is None or not fact.fresh(scene.now, patience):
        why = fact.error if fact is not None and fact.error else "they are not read yet"
        return _unknown(draft, before, f"the requests in flight are not known: {why}")
    if stable is None or not isinstance(fact.value, Load):
        return _unknown(draft, before, "the requests in flight are not known: Prometheus has no counts of its pods")
    demand = demand_of(scene, fact.value, rule)
    wanted = replicas(demand, scene.spec.replicas, most(scene.spec, rule))
    if wanted == demand.pods:
        return _known(draft, before, wanted, demand)
    # What follows a change is judged by a load that was measured after it.
    later = draft.again(timedelta(seconds=PERIOD_SECONDS))
    return _changed(scene, later, before, wanted, demand) if fact.at > before.since else later


def most(spec: DeploymentSpec, rule: Autoscaling) -> int:
    return max(spec.replicas, rule.max_replicas)


def demand_of(scene: Scene, load: Load, rule: Autoscaling) -> Demand:
    status = scene.written
    stable, candidate = status.stable, status.candidate
    share = share_to_judge(scene, candidate) if candidate is not None else None
    of_candidate = load.of(candidate.version) if candidate is not None and share is not None else 0.0
    ready = sum(workload.ready for workload in scene.observed.deployments)
    return Demand(
        pods=total(scene.spec, status),
        per_pod=float(rule.in_flight) if rule.in_flight else IN_FLIGHT_PER_CPU * cpus(scene.spec.resources),
        # Without a share to judge, all there is counts together: also what pods still do that are on their way out.
        stable=load.of(stable.version) if stable is not None and share is not None else load.now,
        candidate=of_candidate,
        peak=load.peak,
        share=share,
        # What a step needs is known while it lasts only: pods that were added for a slow candidate stay until then.
        may_shrink=candidate is None and load.seconds >= WINDOW_SECONDS - PERIOD_SECONDS and load.pods >= ready,
    )


def share_to_judge(scene: Scene, candidate: Candidate) -> int | None:
    """The candidate's percentage, once the load was measured with the pods of its step; None before, or without one."""
    step = step_of(scene.spec, candidate) if candidate.purpose is Purpose.TRIAL else None
    if step is None or candidate.step_since is None or scene.now - candidate.step_since < SETTLING:
        return None
    parts = split(total(scene.spec, scene.written), step.percent)
    return step.percent if scene.ready(candidate.version) >= parts.candidate else None


def _known(draft: Draft, before: Autoscaled, pods: int, demand: Demand) -> Draft:
    """The number is right. Bounds that were edited may have changed it, and an outage may be over."""
    if before.replicas == pods and before.reason == LOAD:
        return draft
    return draft.with_status(autoscaled=before.evolve(replicas=pods, reason=LOAD, message=_told(demand)))


def _changed(scene: Scene, draft: Draft, before: Autoscaled, pods: int, demand: Demand) -> Draft:
    after = before.evolve(replicas=pods, reason=LOAD, message=_told(demand), since=scene.now)
    note = f"from {demand.pods} to {number_of(pods, 'pod')}: {after.message}"
    event = Event("Scaled", note, f"scaled-{after.manifest()['since']}", action="Scale")
    return draft.with_status(autoscaled=after).telling(event)


def _told(demand: Demand) -> str:
    now = demand.stable + demand.candidate
    return f"{now:.2g} requests in flight, {demand.peak:.2g} at most in 5 minutes, {demand.per_pod:g} a pod wanted"


def _unknown(draft: Draft, before: Autoscaled, why: str) -> Draft:
    if before.reason == UNKNOWN:
        return draft  # said once: errors differ from try to try
    return draft.with_status(autoscaled=before.evolve(reason=UNKNOWN, message=f"{why}; the number of pods stays"))
