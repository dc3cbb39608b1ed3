"""The API server in memory, for the length of one pass, and the product's cache in front of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, NamedTuple, cast

from modelcycle.cluster.kinds import KINDS, Kind
from modelcycle.cluster.port import Page
from modelcycle.cluster.views import view_of
from modelcycle.core.plan import Manifest
from modelcycle.errors import AlreadyExists, Conflict, NotFound, Refused
from modelcycle.runtime.cache import Cache, Entry
from tests.check.state import ABSENT, OBJECTS, SLOTS, Slots, stamp

CURRENT, OLD = 10, 5
"""resourceVersions of what the store has, and of what the operator takes for true although it is not."""


class Believed(NamedTuple):
    number: int
    version: int


def numbers(objects: Mapping[int, Believed]) -> defaultdict[int, int]:
    """Slot -> object, or ABSENT."""
    return defaultdict(lambda: ABSENT, {slot: found.number for slot, found in objects.items()})


class Server:
    """Optimistic concurrency, uids, generations. ``gone``: how often names were made that nothing has now.

    ``wrote`` is called after each request that changed something, with words for it and the kind.
    """

    def __init__(self, store: Slots, gone: Slots, time: int, wrote: Callable[[str, Kind], None]) -> None:
        self.objects = {slot: Believed(number, CURRENT) for slot, number in store}
        self.made: dict[int, int] = {}
        self._gone = dict(gone)
        self._time = time
        self._wrote = wrote
        self._version = CURRENT

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest:
        found = self.objects.get(SLOTS.number((kind.name, name)))
        if found is None:
            raise NotFound(f"{kind.name} {name}: not found")
        return versioned(found)

    def pages(self, kind: Kind, namespace: str | None = None, label_selector: str | None = None) -> AsyncIterator[Page]:
        raise NotImplementedError

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        raise NotImplementedError

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        name = manifest["metadata"]["name"]
        if SLOTS.number((kind.name, name)) in self.objects:
            raise AlreadyExists(f"create {name}: it exists")
        return self._made(kind, manifest)

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        found = self.objects.get(SLOTS.number((kind.name, metadata["name"])))
        raw = OBJECTS[found.number] if found else None
        if "uid" in metadata and (raw is None or raw["metadata"]["uid"] != metadata["uid"]):
            raise Conflict(f"apply {metadata['name']}: the uid is another")
        if raw is None:
            return self._made(kind, manifest)
        if kind.name == "Job" and raw["spec"]["template"] != manifest["spec"]["template"]:
            raise Refused(f"Job {metadata['name']} is invalid: spec.template: field is immutable")
        generation = raw["metadata"]["generation"] + (raw.get("spec") != manifest.get("spec"))
        merged = raw | manifest | {"metadata": raw["metadata"] | metadata | {"generation": generation}}
        return self._stored(kind, merged, f"applies {kind.name} {metadata['name']}")

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        found = self._checked(kind, manifest["metadata"])
        told = f"writes the status of {manifest['metadata']['name']} ({_reason(manifest['status'])})"
        return self._stored(kind, OBJECTS[found.number] | {"status": manifest["status"]}, told)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Manifest | None:
        self._checked(kind, {"name": name, "uid": uid})
        del self.objects[SLOTS.number((kind.name, name))]
        self._wrote(f"deletes {kind.name} {name}", kind)
        return None

    def _checked(self, kind: Kind, metadata: Manifest) -> Believed:
        found = self.objects.get(SLOTS.number((kind.name, metadata["name"])))
        if found is None:
            raise NotFound(f"{kind.name} {metadata['name']}: not found")
        have = {"uid": OBJECTS[found.number]["metadata"]["uid"], "resourceVersion": str(found.version)}
        if any(metadata.get(name, value) != value for name, value in have.items()):
            raise Conflict(f"{kind.name} {metadata['name']}: it is another by now")
        return found

    def _made(self, kind: Kind, manifest: Manifest) -> Manifest:
        slot = SLOTS.number((kind.name, manifest["metadata"]["name"]))
        self.made[slot] = self._gone.get(slot, 0) + 1
        metadata = manifest["metadata"] | {
            "uid": f"{kind.name.lower()}-{manifest['metadata']['name']}-{self.made[slot]}",
            "generation": 1,
            "creationTimestamp": stamp(self._time),
        }
        return self._stored(kind, manifest | {"metadata": metadata}, f"makes {kind.name} {metadata['name']}")

    def _stored(self, kind: Kind, raw: Manifest, told: str) -> Manifest:
        metadata = {name: value for name, value in raw["metadata"].items() if name != "resourceVersion"}
        raw = raw | {"metadata": metadata}
        slot, number = SLOTS.number((kind.name, metadata["name"])), OBJECTS.number(raw)
        before = self.objects.get(slot)
        if before is None or before.number != number:
            self._version += 1
            self.objects[slot] = Believed(number, self._version)
            self._wrote(told, kind)
        return versioned(self.objects[slot])


class ViewCache(Cache):
    """The product's cache, filled from a state, and able to say which object it believes in."""

    def __init__(self, objects: Mapping[int, Believed], old: Slots) -> None:
        super().__init__(lambda kind, view: None, cast(Any, _NoMetrics()))
        self.believed = dict(objects)
        for slot, number in old:
            self.believed.pop(slot, None)
            if number != ABSENT:
                self.believed[slot] = Believed(number, OLD)
        for believed in self.believed.values():
            entry = _entry(believed)
            self._store(entry, entry.view, None)

    def put(self, kind: Kind, raw: Manifest) -> bool:
        metadata = raw["metadata"]
        number = OBJECTS.number(raw | {"metadata": {k: v for k, v in metadata.items() if k != "resourceVersion"}})
        self.believed[SLOTS.number((kind.name, metadata["name"]))] = Believed(number, int(metadata["resourceVersion"]))
        return super().put(kind, raw)

    def remove(self, kind: Kind, namespace: str, name: str, uid: str) -> bool:
        entry = self.entry(kind.name, namespace, name)
        if entry is not None and entry.view.uid == uid:
            self.believed.pop(SLOTS.number((kind.name, name)), None)
        return super().remove(kind, namespace, name, uid)


_ENTRIES: dict[Believed, Entry] = {}


def _entry(believed: Believed) -> Entry:
    found = _ENTRIES.get(believed)
    if found is None:
        raw = versioned(believed)
        kind = KINDS[raw["kind"]]
        found = _ENTRIES[believed] = Entry(kind, view_of(kind, raw), believed.version, raw["metadata"]["generation"])
    return found


class _NoMetrics:
    """Stands for every counter and gauge."""

    def __getattr__(self, name: str) -> Any:
        return self if name == "cached" else lambda *args: self


def versioned(found: Believed) -> Manifest:
    raw = OBJECTS[found.number]
    return raw | {"metadata": raw["metadata"] | {"resourceVersion": str(found.version)}}


def _reason(status: Manifest) -> str:
    conditions = status.get("conditions") or [{}]
    first = next((one for one in conditions if one.get("type") == "Retraining"), conditions[0])
    return f"{first.get('type')}={first.get('status')}/{first.get('reason')}"
