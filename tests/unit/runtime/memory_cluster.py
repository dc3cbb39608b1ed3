"""A cluster in memory with what the runtime relies on: versions, uids, generations, preconditions."""

from __future__ import annotations

import copy
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from modelcycle.cluster.kinds import Kind
from modelcycle.cluster.port import Page
from modelcycle.core.plan import Manifest
from modelcycle.errors import AlreadyExists, Conflict, NotFound

PAGE = 2
Failure = Callable[[str], None]
Ident = tuple[str, str | None, str]


class MemoryCluster:
    """``calls`` has every request as ``verb kind name``; ``fail`` may raise for it, before it does anything."""

    def __init__(self) -> None:
        self.objects: dict[Ident, Manifest] = {}
        self.calls: list[str] = []
        self.fail: Failure = lambda call: None
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest:
        self._called("get", kind, name)
        return copy.deepcopy(self._found(kind, namespace, name))

    async def pages(
        self, kind: Kind, namespace: str | None = None, label_selector: str | None = None
    ) -> AsyncIterator[Page]:
        items = [raw for (found, within, _), raw in self.objects.items() if found == kind.name]
        kept = [
            raw for raw in items if namespace in (None, raw["metadata"]["namespace"]) and _selected(raw, label_selector)
        ]
        version = str(next(self._versions))
        for first in range(0, max(1, len(kept)), PAGE):
            self._called("list", kind, namespace or "*")
            yield Page(tuple(copy.deepcopy(kept[first : first + PAGE])), version)

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        namespace, name = _names(manifest)
        self._called("apply", kind, name)
        raw = self.objects.get((kind.name, namespace, name))
        uid = manifest["metadata"].get("uid")
        if uid is not None and (raw is None or raw["metadata"]["uid"] != uid):
            raise Conflict(f"apply {name}: the uid is another")
        return self._stored(kind, _merged(raw, manifest)) if raw else self._made(kind, manifest)

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        namespace, name = _names(manifest)
        self._called("create", kind, name)
        if (kind.name, namespace, name) in self.objects:
            raise AlreadyExists(f"create {name}: it exists")
        return self._made(kind, manifest)

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        raw = self._checked("replace", kind, manifest)
        return self._stored(kind, manifest | {"metadata": raw["metadata"] | manifest["metadata"]})

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        raw = self._checked("status", kind, manifest)
        return self._stored(kind, raw | {"status": manifest["status"]})

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Manifest | None:
        self._called("delete", kind, name)
        raw = self._found(kind, namespace, name)
        if raw["metadata"]["uid"] != uid:
            raise Conflict(f"delete {name}: the uid is another")
        if raw["metadata"].get("finalizers"):
            raw["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            return self._stored(kind, raw)
        del self.objects[kind.name, namespace, name]
        return None

    def writes(self) -> Sequence[str]:
        """Calls since the last time that were writes."""
        calls = [call for call in self.calls if call.partition(" ")[0] not in ("get", "list")]
        self.calls.clear()
        return calls

    def edit(self, kind: Kind, namespace: str, name: str, **parts: Any) -> Manifest:
        """What somebody else does to an object: top-level parts replaced."""
        raw = self._found(kind, namespace, name)
        generation = raw["metadata"]["generation"] + ("spec" in parts)
        return copy.deepcopy(
            self._stored(kind, raw | parts | {"metadata": raw["metadata"] | {"generation": generation}})
        )

    def _called(self, verb: str, kind: Kind, name: str) -> None:
        call = f"{verb} {kind.name} {name}"
        self.calls.append(call)
        self.fail(call)

    def _found(self, kind: Kind, namespace: str | None, name: str) -> Manifest:
        try:
            return self.objects[kind.name, namespace, name]
        except KeyError:
            raise NotFound(f"{kind.name} {namespace}/{name}: not found") from None

    def _checked(self, verb: str, kind: Kind, manifest: Manifest) -> Manifest:
        namespace, name = _names(manifest)
        self._called(verb, kind, name)
        raw = self._found(kind, namespace, name)
        for precondition in ("uid", "resourceVersion"):
            if manifest["metadata"].get(precondition, raw["metadata"][precondition]) != raw["metadata"][precondition]:
                raise Conflict(f"{verb} {name}: {precondition} is another")
        return raw

    def _made(self, kind: Kind, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"] | {
            "uid": f"uid-{next(self._uids)}",
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        return self._stored(kind, manifest | {"metadata": metadata})

    def _stored(self, kind: Kind, raw: Manifest) -> Manifest:
        raw = copy.deepcopy(raw)
        raw["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[kind.name, *_names(raw)] = raw
        return copy.deepcopy(raw)


def _merged(raw: Manifest, manifest: Manifest) -> Manifest:
    """The fields of ``manifest`` over those of ``raw``; the generation counts changes of the spec."""
    changed = "spec" in manifest and manifest["spec"] != raw.get("spec")
    metadata = raw["metadata"] | manifest["metadata"] | {"generation": raw["metadata"]["generation"] + changed}
    return raw | manifest | {"metadata": metadata}


def _selected(raw: Manifest, selector: str | None) -> bool:
    if selector is None:
        return True
    label, _, value = selector.partition("=")
    return bool(raw["metadata"].get("labels", {}).get(label) == value)


def _names(manifest: Manifest) -> tuple[str | None, str]:
    return manifest["metadata"].get("namespace"), manifest["metadata"]["name"]
