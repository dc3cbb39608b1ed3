from __future__ import annotations

from typing import Any

import pytest

from modelcycle.api.v1alpha1.training import TrainingStatus
from modelcycle.cluster.kinds import JOB, MODEL_TRAINING, SECRET, SERVICE
from modelcycle.constants import ANNOTATION_SPEC_HASH, LABEL_OWNER_UID, LABEL_POLICY_UID
from modelcycle.core.observed import JobView, Resource
from modelcycle.core.plan import Manifest, Ref
from modelcycle.errors import Conflict, Unavailable, Unusable
from modelcycle.runtime.actor import Actor, with_hash
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from tests.unit.runtime.builders import job, training, wanted_job
from tests.unit.runtime.memory_cluster import MemoryCluster

JOB_REF = Ref("batch/v1", "Job", "shop", "ranker-1")


class World:
    """An API server with one ModelTraining, a cache that knows it, and the actor between them."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster()
        self.cache = Cache(lambda kind, view: None, Metrics())
        self.actor = Actor(self.cluster, self.cache)

    async def begin(self) -> None:
        body = training()
        self.cache.put(MODEL_TRAINING, await self.cluster.create(MODEL_TRAINING, body))
        self.cluster.calls.clear()

    @property
    def resource(self) -> Resource[Any, Any]:
        resource = self.cache.get(Resource, "ModelTraining", "shop", "ranker")
        assert resource is not None
        return resource

    def wanted(self, **spec: Any) -> Manifest:
        return wanted_job(owner=self.resource.uid, **spec)

    def job(self) -> JobView | None:
        return self.cache.get(JobView, "Job", "shop", "ranker-1")


@pytest.fixture
async def world() -> World:
    world = World()
    await world.begin()
    return world


# --- apply -----------------------------------------------------------------------------------------------------------
async def test_a_missing_child_is_made_and_known_at_once(world: World) -> None:
    await world.actor.apply(world.resource, world.wanted(suspend=True))
    assert world.cluster.calls == ["create Job ranker-1"]
    view = world.job()
    assert view is not None
    assert view.suspended
    assert view.spec_hash == with_hash(world.wanted(suspend=True))["metadata"]["annotations"][ANNOTATION_SPEC_HASH]


async def test_what_is_there_already_costs_no_request(world: World) -> None:
    await world.actor.apply(world.resource, world.wanted())
    world.cluster.calls.clear()
    await world.actor.apply(world.resource, world.wanted())
    assert world.cluster.calls == []


async def test_a_change_of_the_manifest_is_applied_to_the_same_object_only(world: World) -> None:
    await world.actor.apply(world.resource, world.wanted(suspend=True))
    before = world.job()
    await world.actor.apply(world.resource, world.wanted(suspend=False))
    after = world.job()
    assert before is not None
    assert after is not None
    assert (after.uid, after.suspended) == (before.uid, False)
    assert world.cluster.writes() == ["create Job ranker-1", "apply Job ranker-1"]


async def test_what_somebody_changed_is_put_right(world: World) -> None:
    await world.actor.apply(world.resource, world.wanted(suspend=True))
    world.cache.put(JOB, world.cluster.edit(JOB, "shop", "ranker-1", spec={"suspend": False}))
    world.cluster.calls.clear()
    await world.actor.apply(world.resource, world.wanted(suspend=True))
    assert world.cluster.writes() == ["apply Job ranker-1"]
    await world.actor.apply(world.resource, world.wanted(suspend=True))
    assert world.cluster.writes() == []


async def test_an_edit_of_a_service_which_has_no_generation_is_put_right(world: World) -> None:
    wanted = world.wanted() | {"apiVersion": "v1", "kind": "Service", "spec": {"selector": {"app": "ranker"}}}
    await world.actor.apply(world.resource, wanted)
    edited = world.cluster.edit(SERVICE, "shop", "ranker-1", spec={"selector": {"app": "other"}})
    del edited["metadata"]["generation"]
    assert world.cache.put(SERVICE, edited), "its owner is looked at"
    world.cluster.calls.clear()
    for _ in range(2):
        await world.actor.apply(world.resource, wanted)
    assert world.cluster.writes() == ["apply Service ranker-1"]


async def test_a_child_that_went_with_its_owner_is_not_made_again(world: World) -> None:
    """The watch of the children is ahead of the owners'."""
    owner = {"apiVersion": "modelcycle.dev/v1alpha1", "kind": "ModelTraining", "name": "ranker"}
    wanted = world.wanted() | {"apiVersion": "v1", "kind": "Service"}
    wanted["metadata"]["ownerReferences"] = [owner | {"uid": world.resource.uid}]
    resource = world.resource
    await world.cluster.delete(MODEL_TRAINING, "shop", "ranker", resource.uid)
    world.cluster.calls.clear()
    with pytest.raises(Conflict, match="ModelTraining ranker is gone"):
        await world.actor.apply(resource, wanted)
    assert world.cluster.writes() == []


async def test_a_child_that_was_there_before_this_process_is_applied_once(world: World) -> None:
    """It may have been edited while no operator looked."""
    made = await world.cluster.create(JOB, with_hash(world.wanted()))
    world.cache.put(JOB, made)
    world.cache.put(JOB, world.cluster.edit(JOB, "shop", "ranker-1", spec={"suspend": True}))
    world.cluster.calls.clear()
    for _ in range(2):
        await world.actor.apply(world.resource, world.wanted())
    assert world.cluster.writes() == ["apply Job ranker-1"]


async def test_a_child_that_the_watch_has_not_told_of_yet_is_found(world: World) -> None:
    await world.cluster.create(JOB, with_hash(world.wanted()))
    world.cluster.calls.clear()
    await world.actor.apply(world.resource, world.wanted())
    assert world.cluster.calls == ["create Job ranker-1", "get Job ranker-1", "apply Job ranker-1"]


async def test_a_child_of_somebody_else_is_never_adopted(world: World) -> None:
    await world.cluster.create(JOB, job(owner="uid-other"))
    world.cluster.calls.clear()
    with pytest.raises(Unusable, match=r"belongs to somebody else.*delete it") as error:
        await world.actor.apply(world.resource, world.wanted())
    assert error.value.reason == "ForeignObject"
    assert world.cluster.writes() == ["create Job ranker-1"], "which is refused"


async def test_a_child_that_is_being_deleted_is_waited_for(world: World) -> None:
    world.cache.put(
        JOB, job(owner=world.resource.uid, version=900, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"})
    )
    with pytest.raises(Conflict, match="still being deleted"):
        await world.actor.apply(world.resource, world.wanted())
    assert world.cluster.writes() == []


async def test_a_ghost_in_the_cache_is_seen_through_when_it_is_written_to(world: World) -> None:
    await world.actor.apply(world.resource, world.wanted(suspend=True))
    del world.cluster.objects["Job", "shop", "ranker-1"]
    with pytest.raises(Conflict):
        await world.actor.apply(world.resource, world.wanted(suspend=False))
    assert world.job() is None
    await world.actor.apply(world.resource, world.wanted(suspend=False))
    assert world.job() is not None


@pytest.mark.parametrize(
    "spoilt",
    [
        pytest.param({"namespace": "bank"}, id="in another namespace"),
        pytest.param({"labels": {}}, id="without the owner's label"),
        pytest.param({"labels": {LABEL_OWNER_UID: "uid-other"}}, id="with another owner's label"),
    ],
)
async def test_a_manifest_that_does_not_belong_to_the_resource_is_a_bug(world: World, spoilt: dict[str, Any]) -> None:
    manifest = world.wanted()
    manifest["metadata"] |= spoilt
    with pytest.raises(Unusable, match="does not say that it belongs to ranker"):
        await world.actor.apply(world.resource, manifest)
    assert world.cluster.calls == []


# --- create ----------------------------------------------------------------------------------------------------------
async def test_what_is_made_once_is_made_once(world: World) -> None:
    for _ in range(2):
        await world.actor.create(world.resource, world.wanted())
    assert world.cluster.calls == ["create Job ranker-1"]


async def test_that_it_exists_already_and_is_ours_is_success(world: World) -> None:
    await world.cluster.create(JOB, world.wanted(suspend=True))
    await world.actor.create(world.resource, world.wanted())
    view = world.job()
    assert view is not None
    assert view.suspended  # as it is, not as we would have made it


async def test_that_it_exists_already_and_is_not_ours_is_an_error(world: World) -> None:
    await world.cluster.create(JOB, job(owner="uid-other"))
    with pytest.raises(Unusable, match="belongs to somebody else"):
        await world.actor.create(world.resource, world.wanted())


async def test_a_policys_training_belongs_to_it_by_its_own_label(world: World) -> None:
    made = training("next", metadata={"labels": {LABEL_POLICY_UID: world.resource.uid}})
    await world.actor.create(world.resource, made)
    assert world.cache.owned(Resource, world.resource.uid)[0].name == "next"


async def test_of_a_secret_that_exists_nothing_is_read(world: World) -> None:
    manifest = wanted_job("key", world.resource.uid) | {"apiVersion": "v1", "kind": "Secret"}
    await world.cluster.create(SECRET, manifest)
    world.cluster.calls.clear()
    for _ in range(2):
        await world.actor.create(world.resource, manifest)
    assert world.cluster.calls == ["create Secret key"]


# --- delete ----------------------------------------------------------------------------------------------------------
async def test_a_child_is_deleted_and_gone_from_the_cache_at_once(world: World) -> None:
    await world.actor.apply(world.resource, world.wanted())
    world.cluster.calls.clear()
    for _ in range(2):
        await world.actor.delete(world.resource, JOB_REF)
    assert world.cluster.writes() == ["delete Job ranker-1"]
    assert world.job() is None


async def test_a_child_that_lingers_is_deleted_once(world: World) -> None:
    made = await world.cluster.create(
        JOB, world.wanted() | {"metadata": world.wanted()["metadata"] | {"finalizers": ["x"]}}
    )
    world.cache.put(JOB, made)
    world.cluster.calls.clear()
    for _ in range(3):
        await world.actor.delete(world.resource, JOB_REF)
    assert world.cluster.writes() == ["delete Job ranker-1"]
    view = world.job()
    assert view is not None
    assert view.deleting


async def test_the_namesake_of_what_is_to_be_deleted_lives(world: World) -> None:
    await world.actor.apply(world.resource, world.wanted())
    world.cluster.calls.clear()
    await world.actor.delete(world.resource, Ref("batch/v1", "Job", "shop", "ranker-1", uid="uid-former"))
    assert world.cluster.writes() == []


async def test_a_child_of_somebody_else_is_not_deleted(world: World) -> None:
    await world.cluster.create(JOB, job(owner="uid-other"))
    with pytest.raises(Unusable, match="belongs to somebody else"):
        await world.actor.delete(world.resource, JOB_REF)
    assert ("Job", "shop", "ranker-1") in world.cluster.objects


async def test_that_somebody_was_faster_in_deleting_is_fine(world: World) -> None:
    await world.actor.apply(world.resource, world.wanted())
    del world.cluster.objects["Job", "shop", "ranker-1"]
    await world.actor.delete(world.resource, JOB_REF)
    assert world.job() is None


# --- confirm ---------------------------------------------------------------------------------------------------------
async def test_confirm_asks_for_what_the_cache_lacks_only(world: World) -> None:
    await world.cluster.create(JOB, world.wanted())
    world.cluster.calls.clear()
    await world.actor.confirm(MODEL_TRAINING, world.resource, [JOB_REF])
    assert world.job() is not None
    await world.actor.confirm(MODEL_TRAINING, world.resource, [JOB_REF])
    assert world.cluster.calls == ["get Job ranker-1"]


async def test_confirm_leaves_what_is_really_gone_absent(world: World) -> None:
    await world.actor.confirm(MODEL_TRAINING, world.resource, [JOB_REF])
    assert world.job() is None


async def test_confirm_does_not_take_what_went_with_its_owner_for_absent(world: World) -> None:
    resource = world.resource
    del world.cluster.objects["ModelTraining", "shop", "ranker"]
    with pytest.raises(Conflict, match="ranker is gone"):
        await world.actor.confirm(MODEL_TRAINING, resource, [JOB_REF])
    assert world.cache.get(Resource, "ModelTraining", "shop", "ranker") is None


async def test_confirm_does_not_take_what_goes_with_its_owner_for_absent(world: World) -> None:
    resource = world.resource
    world.cluster.edit(MODEL_TRAINING, "shop", "ranker", spec=training()["spec"] | {"suspend": True})
    with pytest.raises(Conflict, match="has changed meanwhile"):
        await world.actor.confirm(MODEL_TRAINING, resource, [JOB_REF])
    await world.actor.confirm(MODEL_TRAINING, world.resource, [JOB_REF])


async def test_confirm_does_not_take_a_silent_server_for_absence(world: World) -> None:
    def fail(call: str) -> None:
        raise Unavailable(call)

    world.cluster.fail = fail
    with pytest.raises(Unavailable):
        await world.actor.confirm(MODEL_TRAINING, world.resource, [JOB_REF])


# --- status ----------------------------------------------------------------------------------------------------------
async def test_the_status_is_in_the_cache_as_soon_as_it_is_written(world: World) -> None:
    await world.actor.write_status(MODEL_TRAINING, world.resource, TrainingStatus(summary="well"))
    assert world.resource.status.summary == "well"


async def test_a_status_on_an_old_version_is_refused_and_the_new_one_is_read(world: World) -> None:
    old = world.resource
    world.cluster.edit(MODEL_TRAINING, "shop", "ranker", spec=training()["spec"] | {"suspend": True})
    with pytest.raises(Conflict):
        await world.actor.write_status(MODEL_TRAINING, old, TrainingStatus(summary="late"))
    assert world.resource.spec.suspend
    await world.actor.write_status(MODEL_TRAINING, world.resource, TrainingStatus(summary="now"))


async def test_a_resource_that_is_gone_is_forgotten(world: World) -> None:
    resource = world.resource
    del world.cluster.objects["ModelTraining", "shop", "ranker"]
    with pytest.raises(Exception, match="not found"):
        await world.actor.write_status(MODEL_TRAINING, resource, TrainingStatus())
    assert world.cache.get(Resource, "ModelTraining", "shop", "ranker") is None


async def test_a_status_field_that_the_crd_does_not_know_is_an_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = world.cluster.write_status

    async def pruning(kind: Any, manifest: Manifest) -> Manifest:
        kept = {name: value for name, value in manifest["status"].items() if name != "summary"}
        return await write(kind, manifest | {"status": kept})

    monkeypatch.setattr(world.cluster, "write_status", pruning)
    with pytest.raises(Unusable, match=r"did not keep summary .*apply the operator's own") as error:
        await world.actor.write_status(MODEL_TRAINING, world.resource, TrainingStatus(summary="lost"))
    assert error.value.reason == "CrdOutdated"
