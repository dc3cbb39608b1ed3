"""Copies of ConfigMaps: what goes into them, what their digest is of, and what may happen while they are made."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelcycle.cluster.kinds import Kind
from modelcycle.cluster.port import Page
from modelcycle.core.plan import Manifest
from modelcycle.errors import AlreadyExists, Conflict, Missing, NotFound, Refused, Unavailable
from modelcycle.training import children
from modelcycle.training.effects import KeepConfigMap, Pick, TrainingEffects, digest, picked
from tests.unit.training.world import World

SCRIPT = {"train.py": "print(1)"}
SPEC: dict[str, Any] = {
    "configMap": "code",
    "env": [
        {"name": "REGION", "configMapKeyRef": {"name": "site", "key": "region"}},
        {"name": "DESK", "configMapKeyRef": {"name": "people", "key": "desk"}},
        {"name": "PLAIN", "value": "x"},
        {"name": "TOKEN", "secretKeyRef": {"name": "warehouse", "key": "token"}},
    ],
}
TRAINING = World(**SPEC).observed().resource
KEEP = children.copies(TRAINING)


def binary(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class FakeCluster:
    """ConfigMaps by name. ``races``: content that somebody else's copy gets while ours is on its way."""

    def __init__(self, error: Exception | None = None, **content: Manifest) -> None:
        self.objects: dict[str, Manifest] = {name: {"metadata": {"name": name}} | one for name, one in content.items()}
        self.error = error
        self.races: Manifest | None = None
        self.made: list[str] = []

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest:
        assert (kind.name, namespace) == ("ConfigMap", "quant")
        if self.error:
            raise self.error
        if name not in self.objects:
            raise NotFound(name)
        return self.objects[name]

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        name = manifest["metadata"]["name"]
        if self.races is not None:
            self.objects[name] = manifest | self.races
        if name in self.objects:
            raise AlreadyExists(name)
        self.made.append(name)
        self.objects[name] = manifest
        return manifest

    def pages(self, kind: Kind, namespace: str | None = None, label_selector: str | None = None) -> AsyncIterator[Page]:
        raise NotFound("ConfigMaps are never listed")

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        raise NotFound("a copy is never changed")

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        raise NotFound("a copy is never changed")

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        raise NotFound("a ConfigMap has no status")

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Manifest | None:
        raise NotFound("a copy goes with its owner")


async def kept(cluster: FakeCluster, effect: KeepConfigMap = KEEP["files"]) -> str:
    result = await TrainingEffects(cluster).effects[KeepConfigMap](effect)
    assert isinstance(result, str)
    return result


# --- the digest -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param({"data": {"train.py": "a", "lib.py": "b"}}, True, id="the same"),
        pytest.param({"data": {"lib.py": "b", "train.py": "a"}}, True, id="in another order"),
        pytest.param({"data": {"lib.py": "b"}, "binaryData": {"train.py": binary("a")}}, True, id="in the other field"),
        pytest.param({"data": {"train.py": "a", "lib.py": "b"}, "immutable": True}, True, id="of another kind"),
        pytest.param({"data": {"train.py": "a ", "lib.py": "b"}}, False, id="a space more"),
        pytest.param({"data": {"train.py": "b", "lib.py": "a"}}, False, id="contents exchanged"),
        pytest.param({"data": {"train.py": "a"}}, False, id="a file less"),
        pytest.param({"data": {"train.py": "a", "lib.py": "b", "more.py": ""}}, False, id="an empty file more"),
        pytest.param({"data": {"main.py": "a", "lib.py": "b"}}, False, id="another name"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_the_digest_is_of_the_content(other: Manifest, same: bool) -> None:
    assert (digest(other) == digest({"data": {"train.py": "a", "lib.py": "b"}})) == same


# --- the content ------------------------------------------------------------------------------------------------------
SOURCES: dict[str, Manifest] = {
    "code": {"data": {"train.py": "a"}, "binaryData": {"w": "AA=="}},
    "site": {"data": {"region": "eu"}},
}


@pytest.mark.parametrize(
    ("picks", "content"),
    [
        pytest.param((Pick("code"),), SOURCES["code"], id="all of one"),
        pytest.param((Pick("site", "region", "REGION"),), {"data": {"REGION": "eu"}}, id="a key under another name"),
        pytest.param(
            (Pick("site", "region", "A"), Pick("site", "region", "B"), Pick("code", "w", "C")),
            {"data": {"A": "eu", "B": "eu"}, "binaryData": {"C": "AA=="}},
            id="keys of several, one of them twice",
        ),
    ],
)
def test_what_goes_into_a_copy(picks: tuple[Pick, ...], content: Manifest) -> None:
    assert picked(SOURCES, picks) == content


def test_a_key_that_is_missing_is_named() -> None:
    with pytest.raises(Missing, match="ConfigMap 'site' has no key 'zone'"):
        picked(SOURCES, (Pick("site", "zone", "ZONE"),))


# --- the effect -------------------------------------------------------------------------------------------------------
async def test_the_copy_is_immutable_and_goes_with_its_training() -> None:
    cluster = FakeCluster(code={"data": SCRIPT})
    assert await kept(cluster) == digest({"data": SCRIPT})
    copy = cluster.objects["hedge-11111-files"]
    assert (copy["immutable"], copy["data"]) == (True, SCRIPT)
    assert [owner["uid"] for owner in copy["metadata"]["ownerReferences"]] == [TRAINING.uid]
    assert copy["metadata"]["labels"]["modelcycle.dev/owner-kind"] == "mt"


async def test_variables_of_several_config_maps_are_one_copy() -> None:
    cluster = FakeCluster(site={"data": {"region": "eu"}}, people={"data": {"desk": "rates", "phone": "1"}})
    await kept(cluster, KEEP["variables"])
    assert cluster.objects["hedge-11111-variables"]["data"] == {"REGION": "eu", "DESK": "rates"}


async def test_a_copy_that_is_there_counts_whatever_became_of_the_original() -> None:
    cluster = FakeCluster(code={"data": SCRIPT})
    first = await kept(cluster)
    cluster.objects["code"] = {"data": {"train.py": "print(2)"}}
    assert await kept(cluster) == first
    del cluster.objects["code"]
    assert await kept(cluster) == first
    assert cluster.made == ["hedge-11111-files"]


async def test_of_two_replicas_the_first_copy_counts() -> None:
    cluster = FakeCluster(code={"data": SCRIPT})
    cluster.races = {"data": {"train.py": "print(0)"}}
    assert await kept(cluster) == digest({"data": {"train.py": "print(0)"}})


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"immutable": True}, id="without an owner"),
        pytest.param({"metadata": {"ownerReferences": [{"uid": "another"}]}, "immutable": True}, id="of another life"),
        pytest.param(json.loads(KEEP["files"].copy), id="that can be changed"),
    ],
)
async def test_nothing_else_is_taken_for_the_copy(other: Manifest) -> None:
    cluster = FakeCluster(code={"data": SCRIPT})
    cluster.objects["hedge-11111-files"] = {"metadata": {}, "data": SCRIPT} | other
    with pytest.raises(Conflict, match="quant/hedge-11111-files is in the way"):
        await kept(cluster)


@pytest.mark.parametrize("error", [Unavailable("503"), Refused("403")])
async def test_failures_are_the_runtimes_to_tell(error: Exception) -> None:
    with pytest.raises(type(error)):
        await kept(FakeCluster(error))


async def test_what_is_missing_is_waited_for() -> None:
    with pytest.raises(Missing, match="there is no ConfigMap 'code' in namespace 'quant'"):
        await kept(FakeCluster())
