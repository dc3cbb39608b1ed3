from __future__ import annotations

import pytest

from modelcycle.cluster.kinds import MODEL_TRAINING
from modelcycle.cluster.views import view_of
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Event, EventType
from modelcycle.errors import Unavailable
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.recorder import Recorder, event_manifest, event_name
from tests.unit.runtime.builders import NOW, clock, training
from tests.unit.runtime.memory_cluster import MemoryCluster

STARTED = Event("Started", "attempt 1 started", "attempt-1")


def resource(uid: str = "uid-mt", name: str = "ranker") -> Resource:  # type: ignore[type-arg]
    view = view_of(MODEL_TRAINING, training(name, uid=uid))
    assert isinstance(view, Resource)
    return view


async def test_an_event_is_told_once() -> None:
    cluster = MemoryCluster()
    recorder = Recorder(cluster, "replica-1", clock, Metrics())
    for _ in range(3):
        await recorder.record("ModelTraining", resource(), STARTED)
    assert len(cluster.calls) == 1


async def test_an_event_that_another_replica_told_is_told() -> None:
    cluster = MemoryCluster()
    for replica in ("replica-1", "replica-2"):
        await Recorder(cluster, replica, clock, Metrics()).record("ModelTraining", resource(), STARTED)
    assert len(cluster.objects) == 1


async def test_an_event_is_counted_by_the_replica_that_told_it() -> None:
    cluster = MemoryCluster()
    counts: list[float | None] = []
    for replica in ("replica-1", "replica-2"):
        metrics = Metrics()
        await Recorder(cluster, replica, clock, metrics).record("ModelTraining", resource(), STARTED)
        labels = {"kind": "ModelTraining", "reason": "Started", "type": "Normal"}
        counts.append(metrics.registry.get_sample_value("modelcycle_events_total", labels))
    assert counts == [1.0, None]


async def test_an_event_that_could_not_be_told_is_told_the_next_time() -> None:
    cluster = MemoryCluster()
    recorder = Recorder(cluster, "replica-1", clock, Metrics())

    def fail(call: str) -> None:
        raise Unavailable(call)

    cluster.fail = fail
    with pytest.raises(Unavailable):
        await recorder.record("ModelTraining", resource(), STARTED)
    cluster.fail = lambda call: None
    await recorder.record("ModelTraining", resource(), STARTED)
    assert len(cluster.objects) == 1


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param((resource(), Event("Started", "in other words", "attempt-1")), True, id="the same transition"),
        pytest.param((resource(), Event("Started", "attempt 2 started", "attempt-2")), False, id="another transition"),
        pytest.param((resource(), Event("Ended", "attempt 1", "attempt-1")), False, id="another reason"),
        pytest.param((resource("uid-2"), STARTED), False, id="another life of the resource"),
    ],
)
def test_the_name_says_what_happened(other: tuple[Resource, Event], same: bool) -> None:  # type: ignore[type-arg]
    assert (event_name(*other) == event_name(resource(), STARTED)) is same


def test_the_name_is_an_object_name_however_long_the_resources_is() -> None:
    name = event_name(resource(name="a" * 39 + ".b" * 30), STARTED)
    assert name.startswith("a" * 39 + ".")
    assert ".." not in name
    assert len(name) < 64


def test_the_manifest_has_what_describe_looks_for() -> None:
    warning = Event("Failed", "é" * 2000, "attempt-1", EventType.WARNING, "Train")
    manifest = event_manifest("ModelTraining", resource(), warning, NOW, "replica-1")
    assert manifest["regarding"]["uid"] == "uid-mt"
    assert manifest["regarding"]["kind"] == "ModelTraining"
    assert manifest["metadata"]["namespace"] == "shop"
    assert (manifest["type"], manifest["reason"], manifest["action"]) == ("Warning", "Failed", "Train")
    assert manifest["eventTime"] == "2026-03-04T05:06:07.000000Z"
    assert len(manifest["note"].encode()) <= 1024
