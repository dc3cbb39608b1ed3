from __future__ import annotations

import inspect
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import kopf
import orjson
import pytest
from kopf._cogs.clients import api, watching
from kopf._cogs.structs.references import Resource
from kopf._core.reactor import orchestration, queueing

from modelcycle.cluster.credentials import Credentials
from modelcycle.cluster.kinds import CHILDREN, JOB, OURS, Kind
from modelcycle.core.plan import Manifest
from modelcycle.edge.handlers import register
from modelcycle.edge.straight import straight_to
from modelcycle.edge.watching import NullDiffBaseStorage, connection_info, watch_settings

_WHERE_KOPF_LOOKS: Any = orchestration


class Sink:
    def __init__(self) -> None:
        self.told: list[str] = []

    def seen(self, kind: Kind, raw: Manifest) -> None:
        self.told.append(f"seen {kind.name} {raw['metadata']['name']}")

    def deleted(self, kind: Kind, raw: Manifest) -> None:
        self.told.append(f"deleted {kind.name} {raw['metadata']['name']}")


def handlers(registry: kopf.OperatorRegistry) -> dict[str, Any]:
    return {str(handler.id): handler for handler in registry._watching.get_all_handlers()}


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        pytest.param(None, "seen Job a", id="listed"),
        pytest.param("ADDED", "seen Job a", id="made"),
        pytest.param("MODIFIED", "seen Job a", id="changed"),
        pytest.param("DELETED", "deleted Job a", id="deleted"),
    ],
)
async def test_each_event_goes_to_the_sink(type_: str | None, told: str) -> None:
    registry, sink = kopf.OperatorRegistry(), Sink()
    register(registry, sink)
    await handlers(registry)["watch-jobs"].fn(event={"type": type_, "object": {"metadata": {"name": "a"}}}, logger=None)
    assert sink.told == [told]


def test_all_kinds_are_watched_and_nothing_is_handled_statefully() -> None:
    registry = kopf.OperatorRegistry()
    register(registry, Sink())
    assert set(handlers(registry)) == {f"watch-{kind.plural}" for kind in (*OURS, *CHILDREN)}
    for stateful in (registry._changing, registry._spawning, registry._indexing):
        assert stateful.get_all_handlers() == []


def resource(kind: Kind) -> Resource:
    return Resource(kind.group, kind.version, kind.plural, kind=kind.name)


def test_children_are_filtered_by_the_server_and_our_own_kinds_are_not() -> None:
    selectors = watch_settings().watching.label_selectors
    ours = {kind.name: list(selectors.collect(resource(kind))) for kind in OURS}
    children = {kind.name: list(selectors.collect(resource(kind))) for kind in CHILDREN}
    assert set(map(tuple, ours.values())) == {()}
    assert set(map(tuple, children.values())) == {("app.kubernetes.io/managed-by=modelcycle",)}


def test_nothing_is_written_by_kopf() -> None:
    settings = watch_settings()
    assert not settings.posting.enabled
    assert settings.peering.standalone
    assert settings.scanning.disabled
    storage = settings.persistence.diffbase_storage
    assert isinstance(storage, NullDiffBaseStorage)
    body = kopf.Body({"metadata": {"name": "a"}, "spec": {"x": 1}})
    patch = kopf.Patch()
    storage.store(body=body, patch=patch, essence=storage.build(body=body))
    assert storage.build(body=body) == {}
    assert storage.fetch(body=body) is None
    assert dict(patch) == {}


@pytest.mark.parametrize(
    ("credentials", "scheme", "token"),
    [
        pytest.param(Credentials("https://x", "Bearer abc"), "Bearer", "abc", id="a token"),
        pytest.param(Credentials("https://x"), None, None, id="a certificate"),
    ],
)
def test_kopf_logs_in_with_our_credentials(credentials: Credentials, scheme: str | None, token: str | None) -> None:
    info = connection_info(credentials)
    assert (info.server, info.scheme, info.token, info.insecure) == ("https://x", scheme, token, False)


async def test_the_straight_way_is_taken_by_what_kopf_starts_and_tells_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of the kopf that is installed: its orchestration looks the watcher up where that is replaced."""

    async def stream(**_: Any) -> AsyncIterator[Any]:
        yield watching.Bookmark.LISTED
        for type_ in (None, "BOOKMARK", "ADDED", "MODIFIED"):
            yield {"type": type_, "object": {"metadata": {"name": "a"}}}
        yield {"type": "DELETED", "object": {}}
        yield {"type": "DELETED", "object": {"metadata": {"name": "a"}}}

    monkeypatch.setattr(watching, "infinite_watch", stream)
    usual, sink = queueing.watcher, Sink()
    assert set(re.findall(r"\bjson\.(\w+)\(", inspect.getsource(api).replace("response.json", ""))) == {"loads"}
    with straight_to(sink):
        assert _WHERE_KOPF_LOOKS.queueing.watcher is not usual
        known = inspect.signature(usual).parameters
        assert known.keys() >= {"settings", "resource", "namespace", "operator_paused", "resource_indexed"}
        assert vars(api)["json"].loads is orjson.loads
        arguments = dict.fromkeys(known)
        await _WHERE_KOPF_LOOKS.queueing.watcher(**arguments | {"resource": resource(JOB)})
    assert _WHERE_KOPF_LOOKS.queueing.watcher is usual
    assert vars(api)["json"] is json
    assert sink.told == ["seen Job a", "seen Job a", "seen Job a", "deleted Job a"]
    assert "an event of jobs could not be taken in" in caplog.text


def test_the_streams_of_kopf_are_what_the_straight_way_takes_them_for() -> None:
    parameters = inspect.signature(watching.infinite_watch).parameters
    assert parameters.keys() >= {"settings", "resource", "namespace", "operator_paused"}
    assert inspect.isasyncgenfunction(watching.infinite_watch)
