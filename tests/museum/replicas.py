"""A replica without one of its guards: who may write, what it takes for true, what it does to others' objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from modelcycle.cluster.kube import KubeCluster
from modelcycle.constants import ANNOTATION_SPEC_HASH
from modelcycle.runtime import actor, cache
from modelcycle.runtime.actor import Actor
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.effects import EffectRunner
from modelcycle.runtime.elector import RENEW_SECONDS, Elector
from modelcycle.runtime.facts import FactBook
from modelcycle.runtime.fence import LeaseFence, OpenFence
from modelcycle.runtime.manager import Manager
from modelcycle.runtime.resync import Resync
from modelcycle.training.sweeper import Sweeper
from tests.museum.exhibit import Bug, Exhibit, Patch, Suite


# --- who may write ---------------------------------------------------------------------------------------------------
def never_checks_the_lease(patch: Patch) -> None:
    patch.setattr(LeaseFence, "check", lambda self: None)


def writes_without_asking_the_fence(patch: Patch) -> None:
    init = KubeCluster.__init__

    def unfenced(self: KubeCluster, *args: Any) -> None:
        init(self, *args)
        self._fence = OpenFence()

    patch.setattr(KubeCluster, "__init__", unfenced)


def starts_effects_without_asking_the_fence(patch: Patch) -> None:
    init = EffectRunner.__init__

    def unfenced(self: EffectRunner, *args: Any) -> None:
        init(self, *args)
        self._fence = OpenFence()

    patch.setattr(EffectRunner, "__init__", unfenced)


def takes_a_lease_that_is_held(patch: Patch) -> None:
    patch.setattr(Elector, "_is_alive", lambda self, spec: False)


def counts_from_the_answer(patch: Patch) -> None:
    """The lease is held from the moment at which the answer came, and not at which the renewal was sent."""
    patch.setattr(
        LeaseFence, "allow_until", lambda self, deadline: setattr(self, "_deadline", self._monotonic() + RENEW_SECONDS)
    )


def works_on_after_its_duty(patch: Patch) -> None:
    patch.setattr(Manager, "_close", lambda self: None)


def begins_with_what_it_remembers(patch: Patch) -> None:
    async def nothing(self: Resync) -> None:
        return

    patch.setattr(Resync, "everything", nothing)


# --- what it takes for true ------------------------------------------------------------------------------------------
def believes_old_events(patch: Patch) -> None:
    patch.setattr(cache, "_is_news", lambda before, version: True)


def digs_no_graves(patch: Patch) -> None:
    patch.setattr(Cache, "_bury", lambda self, uid: None)


def believes_in_ghosts(patch: Patch) -> None:
    patch.setattr(Cache, "_absent", lambda self, *args: [])


def drops_what_is_newer_than_the_list(patch: Patch) -> None:
    patch.setattr(cache, "_is_newer", lambda version, than: False)


def dates_facts_by_the_answer(patch: Patch) -> None:
    store = FactBook.store
    patch.setattr(FactBook, "store", lambda self, readings, at: store(self, readings, self.now()))


def sees_no_edits_of_children(patch: Patch) -> None:
    def by_hash_alone(self: Actor, entry: Any, wanted: Any) -> bool:
        found = getattr(entry.view, "spec_hash", None)
        return bool(found != wanted["metadata"]["annotations"][ANNOTATION_SPEC_HASH])

    patch.setattr(Actor, "_differs", by_hash_alone)


# --- what it does to others ------------------------------------------------------------------------------------------
def deletes_by_name(patch: Patch) -> None:
    write = KubeCluster._write

    async def without_uid(self: KubeCluster, verb: str, kind: Any, request: Any) -> Any:
        body = {name: value for name, value in (request.body or {}).items() if name != "preconditions"}
        return await write(self, verb, kind, replace(request, body=body))

    patch.setattr(KubeCluster, "_write", without_uid)


def deletes_the_namesake(patch: Patch) -> None:
    delete = Actor.delete

    async def whoever(self: Actor, resource: Any, ref: Any) -> None:
        await delete(self, resource, replace(ref, uid=None))

    patch.setattr(Actor, "delete", whoever)


def adopts_what_it_finds(patch: Patch) -> None:
    patch.setattr(actor, "_refuse_foreign", lambda resource, kind, view: None)


def makes_children_of_the_dead(patch: Patch) -> None:
    async def nothing(self: Actor, kind: object, namespace: str, name: str, uid: str) -> None:
        return

    patch.setattr(Actor, "_assure", nothing)


def ends_every_open_run(patch: Patch) -> None:
    async def nobody(self: Sweeper, run: object) -> bool:
        return False

    patch.setattr(Sweeper, "_lives", nobody)


EXHIBITS = (
    Exhibit(
        "lease check",
        Bug.TWO_LEADERS,
        never_checks_the_lease,
        Suite("runtime/test_elector.py", "test_the_fence_closes_at_the_deadline"),
    ),
    Exhibit(
        "fence before each write",
        Bug.TWO_LEADERS,
        writes_without_asking_the_fence,
        Suite("cluster/test_transport.py", "test_the_fence_keeps_writes"),
    ),
    Exhibit(
        "fence before each effect",
        Bug.TWO_LEADERS,
        starts_effects_without_asking_the_fence,
        Suite("runtime/test_effects.py", "test_nothing_is_started_by_who_may_not_write"),
    ),
    Exhibit(
        "lease that somebody holds",
        Bug.TWO_LEADERS,
        takes_a_lease_that_is_held,
        Suite("runtime/test_elector.py", "test_the_second_replica_waits"),
    ),
    Exhibit(
        "lease counted from the question",
        Bug.TWO_LEADERS,
        counts_from_the_answer,
        Suite("runtime/test_elector.py", "test_the_time_of_the_lease_begins_when_it_is_asked_for"),
    ),
    Exhibit(
        "end of the duty",
        Bug.TWO_LEADERS,
        works_on_after_its_duty,
        Suite("runtime/test_manager.py", "test_who_is_off_duty"),
    ),
    Exhibit(
        "list before the first decision",
        Bug.STALE,
        begins_with_what_it_remembers,
        Suite("runtime/test_manager.py", "test_the_first_decisions"),
    ),
    Exhibit(
        "resourceVersion in the cache",
        Bug.STALE,
        believes_old_events,
        Suite("runtime/test_cache.py", "test_our_own_write_is_not_overwritten"),
    ),
    Exhibit(
        "tombstones", Bug.STALE, digs_no_graves, Suite("runtime/test_cache.py", "test_what_is_gone_does_not_come_back")
    ),
    Exhibit("relist", Bug.MISSED, believes_in_ghosts, Suite("runtime/test_cache.py", "test_a_relist_removes_ghosts")),
    Exhibit(
        "relist that is older than what is known",
        Bug.STALE,
        drops_what_is_newer_than_the_list,
        Suite("runtime/test_cache.py", "test_a_relist_does_not_remove_what_is_newer"),
    ),
    Exhibit(
        "facts dated by the question",
        Bug.STALE,
        dates_facts_by_the_answer,
        Suite("runtime/test_facts.py", "test_a_fact_is_as_old_as_its_question"),
    ),
    Exhibit(
        "edits of children",
        Bug.MISSED,
        sees_no_edits_of_children,
        Suite("runtime/test_actor.py", "test_what_somebody_changed_is_put_right"),
    ),
    Exhibit(
        "uid of what the server deletes",
        Bug.FOREIGN,
        deletes_by_name,
        Suite("cluster/test_transport.py", "test_a_deletion_names_the_uid"),
    ),
    Exhibit(
        "uid of what is to be deleted",
        Bug.FOREIGN,
        deletes_the_namesake,
        Suite("runtime/test_actor.py", "test_the_namesake_of_what_is_to_be_deleted_lives"),
    ),
    Exhibit(
        "children of somebody else",
        Bug.FOREIGN,
        adopts_what_it_finds,
        Suite("runtime/test_actor.py", "test_a_child_of_somebody_else_is_never_adopted"),
    ),
    Exhibit(
        "no children without their owner",
        Bug.ACCUMULATION,
        makes_children_of_the_dead,
        Suite("runtime/test_actor.py", "test_a_child_that_went_with_its_owner_is_not_made_again"),
    ),
    Exhibit(
        "runs of living trainings",
        Bug.FOREIGN,
        ends_every_open_run,
        Suite("training/test_sweeper.py", "test_a_run_is_ended_only"),
    ),
)
