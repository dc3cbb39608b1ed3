"""From a reading of the registry and our status to the row of the table in ``aliases``."""

from __future__ import annotations

from dataclasses import dataclass

from modelcycle.api.v1alpha1.deployment import DeploymentStatus, ModelSelector, Purpose, Verdict
from modelcycle.deployment.aliases import Activity, Challenger, Champion
from modelcycle.deployment.scene import verdict_of
from modelcycle.registry.port import ModelReading

TRIED = frozenset({Purpose.TRIAL, Purpose.BOOTSTRAP})


@dataclass(frozen=True, slots=True)
class Relation:
    """A row of the table. ``target``: version that would be followed or rolled."""

    activity: Activity
    champion: Champion
    challenger: Challenger
    target: str | None = None


def relate(
    status: DeploymentStatus, model: ModelSelector, reading: ModelReading, missing: frozenset[str] = frozenset()
) -> Relation:
    """Which row of the table holds. ``missing``: versions that an alias names and the registry does not have."""
    activity = Activity.ROLLING if status.candidate else Activity.IDLE
    named = reading.alias(model.aliases.champion)
    if model.follow:
        return _follower(status, activity, named, missing)
    champion = _champion(status, model.aliases.champion, named)
    proposed = reading.alias(model.aliases.challenger)
    challenger = _challenger(status, proposed, missing)
    return Relation(activity, champion, challenger, named if champion is Champion.MOVED else proposed)


def _champion(status: DeploymentStatus, alias: str, named: str | None) -> Champion:
    if any(move.alias == alias for move in status.alias_moves):
        return Champion.SAME  # our own move is under way: until it is settled, what the alias names says nothing
    if named is None:
        return Champion.GONE
    return Champion.SAME if named == _decided(status) else Champion.MOVED


def _decided(status: DeploymentStatus) -> str | None:
    """The version that this deployment last took for the champion."""
    if status.candidate and status.candidate.purpose is Purpose.FOLLOW:
        return status.candidate.version
    return status.stable.version if status.stable else None


def _challenger(status: DeploymentStatus, named: str | None, missing: frozenset[str]) -> Challenger:
    candidate = status.candidate
    if candidate is None:
        return _proposed(status, named, missing)
    if candidate.purpose not in TRIED:
        return Challenger.NONE  # a champion on its way, or a pin: challengers wait
    if named == candidate.version:
        return Challenger.SAME
    return Challenger.NEW if _proposed(status, named, missing) is Challenger.NEW else Challenger.GONE


def _proposed(status: DeploymentStatus, named: str | None, missing: frozenset[str]) -> Challenger:
    if named is None:
        return Challenger.NONE
    if named in missing:
        return Challenger.GONE
    serving = status.stable is not None and status.stable.version == named
    return Challenger.SAME if serving or verdict_of(status, named) else Challenger.NEW


def _follower(status: DeploymentStatus, activity: Activity, named: str | None, missing: frozenset[str]) -> Relation:
    """A follower tries each new champion as if it were a challenger; one that it knows to be good it takes at once."""
    trusted = named is not None and (status.stable is None or verdict_of(status, named) == Verdict.PROMOTED)
    if trusted and named not in missing:
        moved = Champion.SAME if named == _decided(status) else Champion.MOVED
        if moved is Champion.MOVED or _following(status):
            return Relation(activity, moved, Challenger.NONE, named)
    return Relation(activity, Champion.SAME, _challenger(status, named, missing), named)


def _following(status: DeploymentStatus) -> bool:
    return status.candidate is not None and status.candidate.purpose is Purpose.FOLLOW
