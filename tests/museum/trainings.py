"""Trainings by an operator that lacks one of its guards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from modelcycle.runtime.actor import Actor
from modelcycle.training import attempts, children, course, ending
from modelcycle.training import decide as decision
from modelcycle.training.domain import TrainingDomain
from tests.check.state import Left
from tests.check.training import TrainingWorld
from tests.check.world import World
from tests.museum.exhibit import Bug, Checker, Exhibit, Patch, Suite


def _world(*wishes: str, **left: int) -> Callable[[], World]:
    return lambda: TrainingWorld(Left(**left), wishes=wishes)


def forgets_the_end(patch: Patch) -> None:
    patch.setattr(decision, "ending", lambda conditions: None)


def expects_no_job(patch: Patch) -> None:
    patch.setattr(TrainingDomain, "expected", lambda self, resource: ())


def takes_the_cache_for_the_cluster(patch: Patch) -> None:
    async def nothing(self: Actor, kind: object, resource: object, expected: object) -> None:
        return

    patch.setattr(Actor, "confirm", nothing)


def trains_without_looking(patch: Patch) -> None:
    patch.setattr(decision, "known", lambda case: None)


def tries_again_for_ever(patch: Patch) -> None:
    for module in (course, ending):
        patch.setattr(module, "may_retry", lambda retries, failures, latest: True)


def leaves_runs_open(patch: Patch) -> None:
    patch.setattr(ending, "_close_run", lambda case, final: (case.status, ()))


def leaves_jobs_behind(patch: Patch) -> None:
    after_the_end = ending.after_the_end
    patch.setattr(decision, "after_the_end", lambda case, **more: replace(after_the_end(case, **more), delete=()))


def keeps_every_attempt(patch: Patch) -> None:
    patch.setattr(attempts, "KEPT", 10_000)


def starts_what_is_suspended(patch: Patch) -> None:
    job = children.job

    def running(*args: Any, **more: Any) -> Any:
        made = job(*args, **more)
        return made | {"spec": made["spec"] | {"suspend": False}}

    patch.setattr(children, "job", running)


def leaves_its_job_as_it_is(patch: Patch) -> None:
    patch.setattr(course, "_adjusted", lambda *args: ())


def judges_before_the_last_words(patch: Patch) -> None:
    patch.setattr(course, "awaits_last_words", lambda job, pod: False)


def never_forgets_what_kept_it(patch: Patch) -> None:
    patch.setattr("modelcycle.training.case.Case.unblocked", lambda self: self)


EXHIBITS = (
    Exhibit(
        "terminal check",
        Bug.FORGOTTEN,
        forgets_the_end,
        Checker(_world(), "it never comes to rest: something is written again and again"),
    ),
    Exhibit(
        "children that must exist",
        Bug.STALE,
        expects_no_job,
        Checker(_world(crashes=1, delays=1, ticks=2), "failed without anything that failed"),
    ),
    Exhibit(
        "absence confirmed by the API server",
        Bug.STALE,
        takes_the_cache_for_the_cluster,
        Checker(_world(crashes=1, delays=1, ticks=2), "failed without anything that failed"),
    ),
    Exhibit(
        "search before training",
        Bug.FORGOTTEN,
        trains_without_looking,
        Checker(_world("delete", edits=2), "trains again what is registered"),
    ),
    Exhibit(
        "retry budget",
        Bug.IGNORED,
        tries_again_for_ever,
        Suite("training/test_failures.py", "test_each_kind_of_failure_has_its_own_budget"),
    ),
    Exhibit(
        "end of the MLflow run",
        Bug.ACCUMULATION,
        leaves_runs_open,
        Checker(_world(), "has ended and its run run1 has not"),
    ),
    Exhibit("time to live of Jobs", Bug.ACCUMULATION, leaves_jobs_behind, Checker(_world(), "Jobs are left")),
    Exhibit(
        "bound on the attempts in the status",
        Bug.ACCUMULATION,
        keeps_every_attempt,
        Suite("training/test_course.py", "test_attempts_are_kept_to_the_latest_twenty"),
    ),
    Exhibit(
        "suspension",
        Bug.IGNORED,
        starts_what_is_suspended,
        Checker(_world("suspend", edits=1), "it says that it is suspended"),
    ),
    Exhibit(
        "changes of the spec reach the Job that runs",
        Bug.IGNORED,
        leaves_its_job_as_it_is,
        Checker(_world("suspend", edits=1), "it says that it is suspended"),
    ),
    Exhibit(
        "last words of the pod",
        Bug.MISSED,
        judges_before_the_last_words,
        Suite("training/test_course.py", "test_a_job_that_ended_is_judged_when_its_pod_has_had_its_last_word"),
    ),
    Exhibit(
        "what kept it from starting is forgotten when it starts",
        Bug.NO_WAY_BACK,
        never_forgets_what_kept_it,
        Suite("training/test_course.py", "test_what_was_blocked_goes_on_by_itself"),
    ),
)
