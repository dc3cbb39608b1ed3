"""Annotations by which a person asks for something once: abort, approve, retry.

Each is handled once for each new value, and the value is echoed in ``status.handled``. One that comes when there is
nothing to do is echoed too, so that it can't act on a later rollout by surprise.
"""

from __future__ import annotations

import re

from modelcycle.constants import ANNOTATION_ABORT, ANNOTATION_APPROVE, ANNOTATION_RETRY
from modelcycle.core.plan import Event, EventType
from modelcycle.core.text import clip
from modelcycle.deployment.moves import intend
from modelcycle.deployment.ownership import forfeited
from modelcycle.deployment.scene import Draft, Scene, verdict_of

_FIELDS = {ANNOTATION_ABORT: "abort", ANNOTATION_APPROVE: "approve", ANNOTATION_RETRY: "retry"}
_VERSION = re.compile(r"[1-9][0-9]{0,8}(?![0-9])")
ECHO_LIMIT = 256


def asked(scene: Scene, annotation: str) -> str | None:
    """The annotation's value if it was not handled yet."""
    value = scene.annotation(annotation)
    if not value:
        return None
    echo = clip(value, ECHO_LIMIT)
    return None if getattr(scene.written.handled, _FIELDS[annotation]) == echo else echo


def handled(draft: Draft, annotation: str, value: str) -> Draft:
    return draft.with_status(handled=draft.status.handled.evolve(**{_FIELDS[annotation]: value}))


def retried_version(value: str) -> str | None:
    """The version that a retry names: its leading number; anything may follow, so that it can be asked for again."""
    match = _VERSION.match(value)
    return match.group() if match else None


def retry(scene: Scene, draft: Draft) -> Draft:
    """Forget the verdict of the version that the annotation names, and put the challenger alias back on it."""
    value = asked(scene, ANNOTATION_RETRY)
    if value is None or _must_wait(scene):
        return draft
    version = retried_version(value)
    done = handled(draft, ANNOTATION_RETRY, value)
    if version is None or verdict_of(draft.status, version) is None or _serves(draft, version):
        note = f"retry of {value!r} changes nothing: it must name a version with a verdict that does not serve"
        return done.telling(Event("RetryIgnored", note, f"retry-{value}", EventType.WARNING, "Retry"))
    kept = tuple(record for record in draft.status.verdicts if record.version != version)
    note = f"the verdict of version {version} is forgotten: it is rolled again"
    forgotten = done.with_status(verdicts=kept).telling(Event("RetryRequested", note, f"retry-{value}", action="Retry"))
    return _proposed(scene, forgotten, version)


def _must_wait(scene: Scene) -> bool:
    """An owner puts the alias back, so it must know what the alias names, and that no move of its own is under way."""
    return bool(scene.written.alias_moves) or (scene.reading is None and not forfeited(scene))


def _proposed(scene: Scene, draft: Draft, version: str) -> Draft:
    """The challenger alias was removed after the verdict: set it again, unless something else has it now."""
    alias = scene.spec.model.aliases.challenger
    reading = scene.reading
    free = reading is not None and reading.alias(alias) is None
    return intend(draft, alias, version, None, "RetryRequested", scene.now) if free and not forfeited(scene) else draft


def _serves(draft: Draft, version: str) -> bool:
    return draft.status.stable is not None and draft.status.stable.version == version


def unused(scene: Scene, draft: Draft, annotation: str) -> Draft:
    """Echo a request for which there is nothing to do."""
    value = asked(scene, annotation)
    if value is None or getattr(draft.status.handled, _FIELDS[annotation]) == value:
        return draft
    what = _FIELDS[annotation]
    note = f"{what} request {value!r} is ignored: no rollout is {'waiting for it' if what == 'approve' else 'running'}"
    event = Event(f"{what.capitalize()}Ignored", note, f"{what}-{value}", EventType.WARNING, what.capitalize())
    return handled(draft, annotation, value).telling(event)
