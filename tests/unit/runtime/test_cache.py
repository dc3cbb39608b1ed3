from __future__ import annotations

import zlib
from typing import Any

import pytest

from modelcycle.cluster.kinds import JOB, MODEL_DEPLOYMENT, MODEL_TRAINING, POD, SERVICE, Kind
from modelcycle.cluster.views import View, view_of
from modelcycle.constants import LABEL_OWNER_UID, LABEL_POLICY_UID
from modelcycle.core.observed import JobView, ObjectView, PodView, Resource
from modelcycle.runtime import cache as cache_module
from modelcycle.runtime.cache import Cache
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import Key
from tests.unit.runtime.builders import TRAINING, job, training

SUSPENDED = {"suspend": True}


class Told:
    """Remembers which changes the cache told."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, kind: str, view: View) -> None:
        self.names.append(f"{kind} {view.name}")


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def cache(told: Told) -> Cache:
    return Cache(told, Metrics())


def names(views: tuple[Any, ...]) -> list[str]:
    return [view.name for view in views]


def relist(cache: Cache, kind: Kind, namespace: str | None, *items: dict[str, Any], version: int) -> int:
    """What a list of one page does to the cache; how many objects were wrong in it."""
    repaired = sum(cache.put(kind, raw) for raw in items)
    listed = {(raw["metadata"]["namespace"], raw["metadata"]["name"]) for raw in items}
    return repaired + cache.prune(kind, namespace, listed, str(version))


# --- what is told ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("later", "is_told"),
    [
        pytest.param(job(version=21, spec=SUSPENDED), True, id="a newer state that differs"),
        pytest.param(job(version=21), False, id="a newer state that no decision could tell from the old one"),
        pytest.param(job(version=20, spec=SUSPENDED), False, id="the same version again"),
        pytest.param(job(version=9, spec=SUSPENDED), False, id="an older version, though its text sorts later"),
        pytest.param(job(version=21, uid="uid-2"), True, id="another object under the same name"),
        pytest.param(job(version=5, uid="uid-0"), False, id="an old story about a former namesake"),
    ],
)
def test_an_event_is_told_where_it_is_news(cache: Cache, told: Told, later: dict[str, Any], is_told: bool) -> None:
    cache.put(JOB, job(version=20))
    assert cache.put(JOB, later) is is_told
    assert told.names == ["Job ranker-1"] * (2 if is_told else 1)


OVER = {
    "conditions": [
        {"type": "Succeeded", "status": "True", "reason": "Registered", "lastTransitionTime": "2026-03-04T05:06:07Z"}
    ]
}


def test_what_has_ended_is_kept_as_its_json_and_looks_the_same(cache: Cache, told: Told) -> None:
    raw = training(status=OVER, metadata={"annotations": {"modelcycle.dev/note": "x"}, "managedFields": [{}]})
    cache.put(MODEL_TRAINING, raw)
    entry = cache.entry("ModelTraining", "shop", "ranker")
    assert entry is not None
    assert isinstance(entry.kept, bytes)
    assert b"managedFields" not in zlib.decompress(entry.kept)
    assert entry.view == cache.get(Resource, "ModelTraining", "shop", "ranker") == view_of(MODEL_TRAINING, raw)
    assert not cache.put(MODEL_TRAINING, training(version=11, status=OVER, metadata=raw["metadata"])), "no news"
    assert cache.put(MODEL_TRAINING, training(version=12, status=OVER, spec=raw["spec"] | SUSPENDED))
    assert cache.remove(MODEL_TRAINING, "shop", "ranker", "uid-mt")
    assert told.names == ["ModelTraining ranker"] * 3


ENDS = [
    pytest.param(JOB, JobView, {"conditions": [{"type": "Complete", "status": "True"}]}, True, id="complete"),
    pytest.param(JOB, JobView, {"conditions": [{"type": "Failed", "status": "True"}]}, True, id="failed"),
    pytest.param(JOB, JobView, {"active": 1}, False, id="active"),
    pytest.param(POD, PodView, {"phase": "Succeeded"}, True, id="succeeded"),
    pytest.param(POD, PodView, {"phase": "Failed"}, True, id="failed pod"),
    pytest.param(POD, PodView, {"phase": "Running"}, False, id="running"),
]


@pytest.mark.parametrize(("kind", "type_", "status", "is_json"), ENDS)
def test_so_are_children(
    cache: Cache, told: Told, kind: Kind, type_: type[View], status: dict[str, Any], is_json: bool
) -> None:
    cache.put(kind, job(status=status))
    entry = cache.entry(kind.name, "shop", "ranker-1")
    assert entry is not None
    assert isinstance(entry.kept, bytes) is is_json
    assert cache.owned(type_, "uid-mt") == (view_of(kind, job(status=status)),)
    assert cache.owned(ObjectView, "uid-mt") == ()
    assert not cache.put(kind, job(version=21, status=status)), "no news"
    assert cache.remove(kind, "shop", "ranker-1", "uid-job")
    assert told.names == [f"{kind.name} ranker-1"] * 2


def test_what_is_new_is_json_until_somebody_looks_at_it(cache: Cache) -> None:
    def is_json() -> bool:
        entry = cache.entry("ModelTraining", "shop", "ranker")
        return entry is not None and isinstance(entry.kept, bytes)

    cache.put(MODEL_TRAINING, training())
    assert is_json()
    assert cache.get(Resource, "ModelTraining", "shop", "ranker") == view_of(MODEL_TRAINING, training())
    assert not is_json(), "it is looked at again and again from now on"
    cache.put(MODEL_TRAINING, training(version=11, spec={"image": 7}))
    assert not is_json()
    cache.put(MODEL_TRAINING, training(version=12, status=OVER))
    assert cache.get(Resource, "ModelTraining", "shop", "ranker") is not None
    assert is_json(), "it has ended, whoever looks at it"


def test_our_own_write_is_not_overwritten_by_an_event_from_before(cache: Cache) -> None:
    cache.put(JOB, job(version=20))
    cache.put(JOB, job(version=25, spec=SUSPENDED))  # the answer to our write
    cache.put(JOB, job(version=22))  # comes by the watch afterwards
    view = cache.get(JobView, "Job", "shop", "ranker-1")
    assert view is not None
    assert view.suspended


def test_versions_that_are_no_numbers_are_taken_in_the_order_of_their_coming(cache: Cache) -> None:
    cache.put(JOB, job(metadata={"resourceVersion": "xyz"}))
    assert cache.put(JOB, job(metadata={"resourceVersion": "abc"}, spec=SUSPENDED))


def test_what_is_gone_does_not_come_back_by_a_late_event(cache: Cache, told: Told) -> None:
    cache.put(JOB, job())
    assert cache.remove(JOB, "shop", "ranker-1", "uid-job")
    assert not cache.put(JOB, job(version=30))
    assert cache.get(JobView, "Job", "shop", "ranker-1") is None
    assert told.names == ["Job ranker-1", "Job ranker-1"]


def test_a_late_deletion_does_not_take_the_namesake(cache: Cache) -> None:
    cache.put(JOB, job(uid="uid-2", version=30))
    assert not cache.remove(JOB, "shop", "ranker-1", "uid-job")
    assert cache.get(JobView, "Job", "shop", "ranker-1") is not None


def test_the_memory_of_what_is_gone_is_bounded(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "TOMBSTONES", 2)
    for number in range(3):
        cache.remove(JOB, "shop", "x", f"uid-{number}")
    assert cache.put(JOB, job(uid="uid-0"))
    assert not cache.put(JOB, job("other", uid="uid-2"))


# --- reading ---------------------------------------------------------------------------------------------------------
def test_children_are_found_by_their_owner(cache: Cache) -> None:
    cache.put(MODEL_TRAINING, training())
    for number in (2, 1):
        cache.put(JOB, job(f"ranker-{number}", uid=f"uid-{number}"))
    cache.put(JOB, job("other", owner="uid-other", uid="uid-3"))
    assert names(cache.owned(JobView, "uid-mt")) == ["ranker-1", "ranker-2"]
    assert cache.owned(PodView, "uid-mt") == ()
    assert cache.resource_of("uid-mt") == TRAINING


def test_a_policys_trainings_are_found_by_its_label(cache: Cache) -> None:
    cache.put(MODEL_TRAINING, training(metadata={"labels": {LABEL_POLICY_UID: "uid-rp"}}))
    assert names(cache.owned(Resource, "uid-rp")) == ["ranker"]


def test_a_child_whose_label_changes_changes_hands(cache: Cache) -> None:
    cache.put(JOB, job())
    cache.put(JOB, job(version=21, metadata={"labels": {LABEL_OWNER_UID: "uid-other"}}))
    assert cache.owned(JobView, "uid-mt") == ()
    assert names(cache.owned(JobView, "uid-other")) == ["ranker-1"]


def test_a_removed_child_is_owned_by_nobody(cache: Cache) -> None:
    cache.put(JOB, job())
    cache.remove(JOB, "shop", "ranker-1", "uid-job")
    assert cache.owned(JobView, "uid-mt") == ()


def test_other_kinds_are_plain_objects(cache: Cache) -> None:
    cache.put(SERVICE, job("ranker"))
    view = cache.get(ObjectView, "Service", "shop", "ranker")
    assert view is not None
    assert (view.api_version, view.kind) == ("v1", "Service")


def test_get_asks_for_a_type(cache: Cache) -> None:
    cache.put(JOB, job())
    assert cache.get(PodView, "Job", "shop", "ranker-1") is None


def serves(name: str, model: str = "m", version: int = 10, **metadata: Any) -> dict[str, Any]:
    spec = {"model": {"name": model}}
    return training(name, uid=f"uid-{name}", version=version, metadata=metadata, spec=spec)


def test_who_serves_a_model_is_found_by_it(cache: Cache) -> None:
    def found(model: str, namespace: str = "shop") -> list[str]:
        return names(cache.about("ModelDeployment", namespace, model))

    for raw in (serves("b"), serves("a"), serves("c", "other"), serves("d", namespace="bank")):
        cache.put(MODEL_DEPLOYMENT, raw)
    assert (found("m"), found("other"), found("m", "bank"), found("none")) == (["a", "b"], ["c"], ["d"], [])
    assert cache.about("RetrainPolicy", "shop", "m") == ()
    cache.put(MODEL_DEPLOYMENT, serves("a", "other", version=11))
    cache.put(MODEL_DEPLOYMENT, training("b", uid="uid-b", version=11, spec={"model": 7}))
    assert (found("m"), found("other")) == ([], ["a", "c"])
    cache.remove(MODEL_DEPLOYMENT, "shop", "a", "uid-a")
    assert found("other") == ["c"]


def test_keys_are_of_all_namespaces(cache: Cache) -> None:
    for namespace, name in (("shop", "b"), ("shop", "a"), ("bank", "c")):
        cache.put(MODEL_TRAINING, training(name, uid=f"uid-{name}", metadata={"namespace": namespace}))
    assert set(cache.keys("ModelTraining")) == {
        Key("ModelTraining", "shop", "a"),
        Key("ModelTraining", "shop", "b"),
        Key("ModelTraining", "bank", "c"),
    }


def test_the_number_of_objects_is_a_metric() -> None:
    metrics = Metrics()
    cache = Cache(lambda kind, view: None, metrics)
    cache.put(JOB, job())
    cache.put(JOB, job(version=21, uid="uid-2"))
    cache.put(JOB, job("other", uid="uid-3"))
    cache.remove(JOB, "shop", "other", "uid-3")
    assert metrics.registry.get_sample_value("modelcycle_cache_objects", {"kind": "Job"}) == 1


# --- repair ----------------------------------------------------------------------------------------------------------
def test_a_relist_removes_ghosts_adds_what_was_missed_and_corrects(cache: Cache, told: Told) -> None:
    cache.put(JOB, job("ghost", uid="uid-1"))
    cache.put(JOB, job("stale", uid="uid-2"))
    cache.put(JOB, job("fine", uid="uid-3"))
    told.names.clear()
    repaired = relist(
        cache,
        JOB,
        None,
        job("stale", uid="uid-2", version=40, spec=SUSPENDED),
        job("fine", uid="uid-3"),
        job("missed", uid="uid-4", version=41),
        version=50,
    )
    assert repaired == 3
    assert sorted(told.names) == ["Job ghost", "Job missed", "Job stale"]
    assert {key.name for key in cache.keys("Job")} == {"fine", "missed", "stale"}


def test_an_object_that_makes_no_sense_keeps_no_other_from_being_seen(cache: Cache) -> None:
    senseless = training("senseless", uid="uid-x", spec={"image": 7}, status={"attempts": "many"})
    assert relist(cache, MODEL_TRAINING, None, senseless, training(), version=30) == 2
    assert cache.get(Resource, "ModelTraining", "shop", "ranker") is not None


def test_a_relist_does_not_remove_what_is_newer_than_itself(cache: Cache) -> None:
    cache.put(JOB, job("new", version=60))
    assert relist(cache, JOB, None, version=50) == 0
    assert cache.get(JobView, "Job", "shop", "new") is not None


def test_a_relist_of_one_namespace_leaves_the_others_alone(cache: Cache) -> None:
    cache.put(JOB, job("here", uid="uid-1"))
    cache.put(JOB, job("there", uid="uid-2", metadata={"namespace": "bank"}))
    cache.put(MODEL_TRAINING, training())
    assert relist(cache, JOB, "shop", version=50) == 1
    assert [key.name for key in cache.keys("Job")] == ["there"]
    assert cache.get(Resource, *("ModelTraining", "shop", "ranker")) is not None
