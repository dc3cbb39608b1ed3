"""The effect that keeps what a training takes from ConfigMaps, and the adapter that carries it out.

A decision never holds the content: ConfigMaps may have a megabyte, and all that is needed of them is their digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from modelcycle.cluster.kinds import CONFIG_MAP
from modelcycle.core.hashing import sha256
from modelcycle.core.plan import Effect, Manifest
from modelcycle.errors import AlreadyExists, Conflict, Missing, NotFound
from modelcycle.runtime.own_cluster import ENDPOINT, OwnCluster
from modelcycle.runtime.ports import EffectHandler


@dataclass(frozen=True, slots=True)
class Pick:
    """A key of a ConfigMap, called ``name`` in the copy; without ``key`` all of them, under their own names."""

    config_map: str
    key: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class KeepConfigMap(Effect):
    """Copy ``picks`` into an immutable ConfigMap, unless that is there. ``copy``: its manifest as JSON, no content.

    ``attempt``: before which it is asked for: somebody may have deleted the copy since the one before.
    Result: the digest of what the copy holds, which is what was there when it was made. Raises ``Missing`` while a
    ConfigMap or a key is not there.
    """

    copy: str
    picks: tuple[Pick, ...]
    attempt: int = 1
    endpoint: str = ENDPOINT


def digest(config_map: Manifest) -> str:
    """SHA-256 over names and content, whatever the ConfigMap is called and whichever of its two fields holds a key."""
    contents = {name: text.encode() for name, text in (config_map.get("data") or {}).items()}
    contents |= {name: base64.b64decode(text) for name, text in (config_map.get("binaryData") or {}).items()}
    return sha256(sorted((name, hashlib.sha256(content).hexdigest()) for name, content in contents.items()))


def picked(sources: Mapping[str, Manifest], picks: tuple[Pick, ...]) -> Manifest:
    """``data`` and ``binaryData`` of the copy; ``sources`` by name. Raises ``Missing``."""
    content: dict[str, dict[str, str]] = {"data": {}, "binaryData": {}}
    for pick in picks:
        source = sources[pick.config_map]
        for field, kept in content.items():
            keys = source.get(field) or {}
            wanted = keys if pick.key is None else {pick.key} & keys.keys()
            kept |= {(pick.name or key): keys[key] for key in wanted}
        if pick.key is not None and not any(pick.key in (source.get(field) or {}) for field in content):
            raise Missing(f"ConfigMap {pick.config_map!r} has no key {pick.key!r}")
    return {field: kept for field, kept in content.items() if kept}


class TrainingEffects(OwnCluster):
    """Effects of trainings on the cluster itself."""

    @property
    def effects(self) -> Mapping[type[Effect], EffectHandler]:
        return {KeepConfigMap: self.keep}

    async def keep(self, effect: KeepConfigMap) -> str:
        wanted = json.loads(effect.copy)
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        try:
            copy = await self._cluster.get(CONFIG_MAP, namespace, name)
        except NotFound:
            copy = await self._made(wanted, namespace, effect.picks)
        if not copy.get("immutable") or _owners(copy) != _owners(wanted):
            raise Conflict(f"ConfigMap {namespace}/{name} is in the way of a copy of that name: delete it")
        return digest(copy)

    async def _made(self, wanted: Manifest, namespace: str, picks: tuple[Pick, ...]) -> Manifest:
        sources = {name: await self._source(namespace, name) for name in sorted({pick.config_map for pick in picks})}
        try:
            return await self._cluster.create(CONFIG_MAP, wanted | {"immutable": True} | picked(sources, picks))
        except AlreadyExists:
            return await self._cluster.get(CONFIG_MAP, namespace, wanted["metadata"]["name"])

    async def _source(self, namespace: str, name: str) -> Manifest:
        try:
            return await self._cluster.get(CONFIG_MAP, namespace, name)
        except NotFound as error:
            raise Missing(f"there is no ConfigMap {name!r} in namespace {namespace!r}") from error


def _owners(config_map: Manifest) -> set[str]:
    return {owner["uid"] for owner in config_map["metadata"].get("ownerReferences", ())}
