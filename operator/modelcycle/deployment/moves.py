"""Alias moves in two phases, since MLflow has no compare-and-swap: intent to status, move, confirm.

An intent is added by a verdict. Only when it is *persisted* is the move asked for, so that a crash at any point finds
the intent again. It is done when a reading of the registry shows it, or when the move says that somebody else was
faster: then it is dropped, and whatever the alias names is followed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from modelcycle.api.v1alpha1.deployment import AliasMove
from modelcycle.core.plan import Event, EventType
from modelcycle.deployment.ownership import forfeited
from modelcycle.deployment.scene import DEGRADED, PROGRESSING, Draft, Scene
from modelcycle.registry.port import AliasMoved, MoveAlias

PATIENCE = timedelta(seconds=10)
"""A move that MLflow did not answer for so long is worth a warning."""
RENEW_AFTER = timedelta(minutes=5)
LOOK_AGAIN = timedelta(seconds=5)


class Progress(StrEnum):
    PENDING = "Pending"
    DONE = "Done"
    OVERTAKEN = "Overtaken"
    REFUSED = "Refused"


def intend(draft: Draft, alias: str, to: str | None, expect: str | None, reason: str, now: datetime) -> Draft:
    """Add the intent; it takes the place of an earlier one for the same alias."""
    move = AliasMove(alias=alias, to=to, expect=expect, reason=reason, since=now)
    others = tuple(m for m in draft.status.alias_moves if m.alias != alias)
    return draft.with_status(alias_moves=(*others, move))


def settle(scene: Scene, draft: Draft) -> Draft:
    """Carry the persisted intents on: ask for the moves, drop what is done or overtaken."""
    if not scene.written.alias_moves:
        return draft
    if forfeited(scene):
        return draft.with_status(alias_moves=())
    if not scene.written.owner:
        return draft.again(LOOK_AGAIN)
    for move in scene.written.alias_moves:
        draft = _settled(scene, draft, move)
    return draft.again(LOOK_AGAIN)


def effect_of(scene: Scene, move: AliasMove) -> MoveAlias:
    return MoveAlias(
        scene.spec.mlflow, scene.spec.model.name, move.alias, move.to, move.expect, move.manifest()["since"]
    )


def progress(scene: Scene, move: AliasMove) -> Progress:
    """How far a persisted intent is, by what the registry answered and what it shows."""
    outcome = scene.outcome(effect_of(scene, move))
    if outcome is not None and not outcome.ok:
        return Progress.PENDING if outcome.retryable else Progress.REFUSED
    if _shown(scene, move):
        return Progress.DONE
    if outcome is None or not _seen_since(scene, outcome.at):
        return Progress.PENDING
    # The registry answered, and a reading that was asked for after that shows something else: somebody moved the alias.
    moved = isinstance(outcome.value, AliasMoved) and outcome.value.moved
    return Progress.DONE if moved else Progress.OVERTAKEN


def _shown(scene: Scene, move: AliasMove) -> bool:
    reading, fact = scene.reading, scene.fact
    if reading is None or fact is None or fact.at is None or fact.at < move.since:
        return False
    return reading.alias(move.alias) == move.to


def _seen_since(scene: Scene, moment: datetime) -> bool:
    fact = scene.fact
    return scene.reading is not None and fact is not None and fact.at is not None and fact.at > moment


def _settled(scene: Scene, draft: Draft, move: AliasMove) -> Draft:
    match progress(scene, move):
        case Progress.DONE:
            return _without(draft, move).telling(_event("AliasMoved", move, _told(move)))
        case Progress.OVERTAKEN:
            note = f"alias {move.alias} no longer named {move.expect or 'nothing'}: {_told(move)} was dropped"
            event = replace(_event("AliasMoveDropped", move, note), type=EventType.WARNING)
            return _without(draft, move).telling(event)
        case Progress.REFUSED:
            return _refused(scene, draft, move)
        case Progress.PENDING:
            return _pending(scene, draft.asking(effect_of(scene, move)), move)


def _pending(scene: Scene, draft: Draft, move: AliasMove) -> Draft:
    outcome = scene.outcome(effect_of(scene, move))
    if outcome is None or outcome.ok or scene.now - move.since < PATIENCE:
        return draft.finding(PROGRESSING, "MovingAlias", f"{_told(move)} is under way in MLflow")
    message = f"{_told(move)} waits for MLflow and is done when it answers; what serves goes on: {outcome.error}"
    return draft.finding(DEGRADED, "RegistryUnavailable", message)


def _refused(scene: Scene, draft: Draft, move: AliasMove) -> Draft:
    """MLflow says no. The intent is kept, and renewed from time to time, which makes it a new request."""
    effect = effect_of(scene, move)
    outcome = scene.outcome(effect)
    message = f"MLflow refuses {_told(move)}: {outcome.error if outcome else ''}"
    told = draft.asking(effect).finding(DEGRADED, "AliasMoveRefused", message)
    if scene.now - move.since < RENEW_AFTER:
        return told
    renewed = tuple(m.evolve(since=scene.now) if m.alias == move.alias else m for m in draft.status.alias_moves)
    return told.with_status(alias_moves=renewed)


def _without(draft: Draft, move: AliasMove) -> Draft:
    return draft.with_status(alias_moves=tuple(m for m in draft.status.alias_moves if m.alias != move.alias))


def _told(move: AliasMove) -> str:
    return f"moving alias {move.alias} to version {move.to}" if move.to else f"removing alias {move.alias}"


def _event(reason: str, move: AliasMove, note: str) -> Event:
    return Event(reason, note, f"alias-{move.alias}-{move.to or 'none'}-{move.manifest()['since']}", action="MoveAlias")
