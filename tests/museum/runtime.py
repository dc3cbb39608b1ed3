"""The runtime without one of its guards: passes, the queue, effects and events."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from modelcycle.cluster import views
from modelcycle.core import names
from modelcycle.errors import ModelcycleError
from modelcycle.runtime import actor, controller, effects, queue, recorder
from modelcycle.runtime.actor import Actor
from modelcycle.runtime.controller import Controller
from modelcycle.runtime.effects import EffectRunner
from modelcycle.runtime.outcomes import OutcomeBook
from modelcycle.runtime.queue import WorkQueue
from tests.museum.exhibit import Bug, Exhibit, Patch, Suite


# --- passes ----------------------------------------------------------------------------------------------------------
def goes_on_after_an_error(patch: Patch) -> None:
    for name in ("apply", "create", "delete"):
        patch.setattr(Actor, name, _regardless(getattr(Actor, name)))
    patch.setattr(recorder.Recorder, "record", _regardless(recorder.Recorder.record))


def _regardless(method: Any) -> Any:
    async def tried(*args: Any) -> None:
        try:
            await method(*args)
        except ModelcycleError:
            return

    return tried


def stops_at_a_bug(patch: Patch) -> None:
    async def fatal(self: Controller, key: object, error: Exception) -> None:
        raise error

    patch.setattr(Controller, "_failed", fatal)


def understands_every_object_or_none(patch: Patch) -> None:
    patch.setattr(views, "_parsed", lambda model, value, part: (model.model_validate(value), None))


def starts_anew_where_it_can_not_read(patch: Patch) -> None:
    parsed = views._parsed

    def empty(model: Any, value: Any, part: str) -> Any:
        found, error = parsed(model, value, part)
        return (found, error) if part == "spec" or found is not None else (model(), None)

    patch.setattr(views, "_parsed", empty)


def does_not_look_what_was_kept(patch: Patch) -> None:
    patch.setattr(actor, "_refuse_pruned", lambda *args: None)


def tries_on_in_a_dying_namespace(patch: Patch) -> None:
    patch.setattr(controller, "Terminating", type("Nobody", (Exception,), {}))


def takes_the_name_for_the_life(patch: Patch) -> None:
    """What came of effects is kept by the name of a resource, whoever has it now."""
    patch.setattr(OutcomeBook, "forget", lambda self, uid: None)
    patch.setattr(OutcomeBook, "of", lambda self, uid: {e: o for page in self._pages.values() for e, o in page.items()})


def writes_the_status_first(patch: Patch) -> None:
    act = Controller._act

    async def hasty(self: Controller, key: Any, resource: Any, plan: Any) -> None:
        if plan.status.manifest() != resource.status.manifest():
            await self._parts.actor.write_status(self._kind, resource, plan.status)
        await act(self, key, resource, replace(plan, status=resource.status))

    patch.setattr(Controller, "_act", hasty)


# --- the queue -------------------------------------------------------------------------------------------------------
def lets_two_work_on_a_key(patch: Patch) -> None:
    class Blind(dict):  # type: ignore[type-arg]
        def __contains__(self, key: object) -> bool:
            return False

        def pop(self, key: Any, default: Any = 0.0) -> Any:
            return super().pop(key, default)

    init = WorkQueue.__init__

    def blind(self: WorkQueue, *args: Any, **more: Any) -> None:
        init(self, *args, **more)
        self._working = Blind()

    patch.setattr(WorkQueue, "__init__", blind)


def misses_what_happens_meanwhile(patch: Patch) -> None:
    add = WorkQueue.add

    def deaf(self: WorkQueue, key: Any, **more: Any) -> None:
        if key not in self._working:
            add(self, key, **more)

    patch.setattr(WorkQueue, "add", deaf)


def retries_at_once(patch: Patch) -> None:
    for module in (queue, effects):
        patch.setattr(module, "backoff", lambda failures, jitter: 0.0)


# --- effects and events ----------------------------------------------------------------------------------------------
def repeats_what_succeeded(patch: Patch) -> None:
    patch.setattr(EffectRunner, "_is_due", lambda self, key, uid, effect: True)


def runs_effects_of_one_side_by_side(patch: Patch) -> None:
    request = EffectRunner.request

    def each(self: EffectRunner, key: Any, uid: str, asked: Any) -> None:
        for effect in asked:
            self._running.discard(uid)
            request(self, key, uid, [effect])

    patch.setattr(EffectRunner, "request", each)


def names_events_by_chance(patch: Patch) -> None:
    patch.setattr(recorder, "event_name", lambda resource, event: f"{resource.name}.{uuid.uuid4().hex}")


def notes_of_any_length(patch: Patch) -> None:
    patch.setattr(recorder, "clip", lambda text, limit: text)


def names_of_any_length(patch: Patch) -> None:
    for module in (names, recorder):
        patch.setattr(module, "NAME_ROOM", 10_000)


EXHIBITS = (
    Exhibit(
        "no status after an error",
        Bug.CRASH,
        goes_on_after_an_error,
        Suite("runtime/test_controller.py", "test_after_an_error_nothing"),
    ),
    Exhibit(
        "children before the status",
        Bug.CRASH,
        writes_the_status_first,
        Suite("runtime/test_controller.py", "test_a_plan_is_carried_out_in_its_order"),
    ),
    Exhibit(
        "a pass that fails is only that pass",
        Bug.MALFORMED,
        stops_at_a_bug,
        Suite("runtime/test_controller.py", "test_a_bug_in_a_decision"),
    ),
    Exhibit(
        "an object that makes no sense",
        Bug.MALFORMED,
        understands_every_object_or_none,
        Suite("runtime/test_cache.py", "test_an_object_that_makes_no_sense_keeps_no_other"),
    ),
    Exhibit(
        "a status that makes no sense",
        Bug.FORGOTTEN,
        starts_anew_where_it_can_not_read,
        Suite("runtime/test_controller.py", "test_a_status_that_cannot_be_read_is_left_alone"),
    ),
    Exhibit(
        "fields that the CRD lacks",
        Bug.HOT_LOOP,
        does_not_look_what_was_kept,
        Suite("runtime/test_actor.py", "test_a_status_field_that_the_crd_does_not_know"),
    ),
    Exhibit(
        "namespace that is being deleted",
        Bug.HOT_LOOP,
        tries_on_in_a_dying_namespace,
        Suite("runtime/test_controller.py", "test_in_a_namespace_that_is_being_deleted"),
    ),
    Exhibit(
        "outcomes of this life only",
        Bug.FORGOTTEN,
        takes_the_name_for_the_life,
        Suite("runtime/test_controller.py", "test_what_came_of_a_former_life_is_not_this_ones"),
    ),
    Exhibit(
        "one worker for each key",
        Bug.TWO_LEADERS,
        lets_two_work_on_a_key,
        Suite("runtime/test_queue.py", "test_a_key_that_is_added_while_it_is_worked_on"),
    ),
    Exhibit(
        "changes during a pass",
        Bug.MISSED,
        misses_what_happens_meanwhile,
        Suite("runtime/test_queue.py", "test_a_key_that_is_added_while"),
    ),
    Exhibit(
        "backoff",
        Bug.HOT_LOOP,
        retries_at_once,
        Suite("runtime/test_queue.py", "test_retry_counts_failures_until_the_key_succeeds"),
    ),
    Exhibit(
        "effects once",
        Bug.AMBIGUOUS,
        repeats_what_succeeded,
        Suite("runtime/test_effects.py", "test_an_effect_that_succeeded_is_not_run_again"),
    ),
    Exhibit(
        "effects of a resource one after the other",
        Bug.AMBIGUOUS,
        runs_effects_of_one_side_by_side,
        Suite("runtime/test_effects.py", "test_effects_of_one_resource_run_one_after_the_other"),
    ),
    Exhibit(
        "names of events",
        Bug.ACCUMULATION,
        names_events_by_chance,
        Suite("runtime/test_recorder.py", "test_an_event_that_another_replica_told"),
    ),
    Exhibit(
        "length of notes", Bug.BAD_VALUE, notes_of_any_length, Suite("runtime/test_recorder.py", "test_the_manifest")
    ),
    Exhibit(
        "length of names",
        Bug.BAD_VALUE,
        names_of_any_length,
        Suite("runtime/test_recorder.py", "test_the_name_is_an_object_name"),
    ),
)
