"""Whom a challenger has to beat: the champion, which is not always what serves."""

from __future__ import annotations

from datetime import timedelta

from modelcycle.core.plan import Fact
from modelcycle.registry.port import ModelFact, ModelReading
from modelcycle.retrain.draft import Draft
from modelcycle.retrain.guards import Hold
from modelcycle.retrain.observed import Deployment

STALE_AFTER = timedelta(minutes=2)
"""A reading of the registry older than this is Unknown: nothing is compared with what it shows."""


def champion(deployment: Deployment, reading: ModelReading) -> str | None:
    """The version that a challenger has to beat now.

    What the alias names, or is about to name by a move that the deployment has decided; without an alias what serves.
    """
    status, alias = deployment.status, deployment.spec.model.aliases.champion
    move = next((move for move in status.alias_moves if move.alias == alias), None)
    named = move.to if move is not None else reading.alias(alias)
    return named or (status.stable.version if status.stable else None)


def read(draft: Draft) -> ModelReading | Hold | None:
    """The registered model, kept fresh from now on; None until it is read, a hold where it can't be."""
    request = ModelFact(draft.deployment.spec.mlflow, draft.deployment.spec.model.name)
    draft.keep_fresh(request)
    fact = draft.observed.facts.get(request, Fact(None))
    if fact.fresh(draft.now, STALE_AFTER) and isinstance(fact.value, ModelReading):
        return fact.value
    if fact.error is None:
        return None
    return Hold("RegistryUnavailable", f"the aliases of model {request.model} can't be read: {fact.error}")


def another_serves(deployment: Deployment, reading: ModelReading) -> Hold | None:
    """What a trigger saw is of what serves: no reason for a cycle while another version is the champion.

    So it is right after a pin was removed. A follower serves another for good where it refused the champion.
    """
    stable = deployment.status.stable
    named, serving = champion(deployment, reading), stable.version if stable else None
    if named == serving or deployment.spec.model.follow:
        return None
    return Hold("AnotherChampion", f"version {serving} serves and {named} is the champion, which is to serve first")
