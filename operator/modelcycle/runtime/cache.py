"""The cluster as slim views in memory: fed by watches, repaired by relists, and ahead of both by our own writes.

kopf tells us of objects that are there, but never of those that vanished while a watch was broken (a 410 after etcd's
compaction, a pause, a restart of the API server): without the relist such ghosts would stay for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

from modelcycle.cluster.kinds import OURS, SERVICE, Kind
from modelcycle.cluster.views import View, folded, subject_of, unfolded, view_of, view_type
from modelcycle.constants import LABEL_OWNER_UID, LABEL_POLICY_UID
from modelcycle.core.conditions import ending
from modelcycle.core.observed import JobView, PodView, Resource
from modelcycle.core.plan import Manifest
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import Key, ViewT

OWNER_LABELS = (LABEL_OWNER_UID, LABEL_POLICY_UID)
TOMBSTONES = 20_000
_OUR_KINDS = frozenset(kind.name for kind in OURS)
Named = tuple[str, str]  # namespace and name
Link = str | tuple[str, str, str]  # the uid of an owner; or kind, namespace and subject
Changed = Callable[[str, View], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """``version``: the resourceVersion where it is a number, as of real servers. ``generation``: see ``edition``.

    ``kept``: a view; or compressed JSON, see ``is_folded``.
    """

    kind: Kind
    kept: View | bytes
    version: int | None
    generation: int

    @property
    def view(self) -> View:
        return unfolded(self.kind, self.kept) if isinstance(self.kept, bytes) else self.kept


def is_folded(view: View, *, is_new: bool) -> bool:
    """Whether JSON is kept instead of the view: of what has ended, and of what is new until somebody looks at it.

    Thousands of both may lie about, and a view, with all its models, is four times as large.
    """
    if isinstance(view, JobView):
        return view.complete or view.failed
    if isinstance(view, PodView):
        return view.phase in ("Succeeded", "Failed")
    if not isinstance(view, Resource) or view.status is None:
        return False
    return ending(view.status.conditions) is not None or (is_new and not view.status.conditions)


def edition(kind: Kind, metadata: Manifest) -> int:
    """A number that grows with each edit of an object: its generation.

    Services have none. Nobody writes a status of those that are only an address in the cluster, so that each of their
    versions is an edit.
    """
    if kind == SERVICE:
        return _number(metadata.get("resourceVersion")) or 0
    return int(metadata.get("generation", 0))


class Cache:
    """See ``CacheReader``. ``changed(kind, view)`` is called after each change that a decision could see."""

    def __init__(self, changed: Changed, metrics: Metrics) -> None:
        self._changed = changed
        self._metrics = metrics
        self._entries: dict[tuple[str, str], dict[str, Entry]] = {}
        self._linked: dict[Link, set[Key]] = {}
        self._resources: dict[str, Key] = {}
        # A uid never comes back: whatever is told of it after its end is an old story.
        self._gone: OrderedDict[str, None] = OrderedDict()

    # --- reading -----------------------------------------------------------------------------------------------------
    def get(self, type_: type[ViewT], kind: str, namespace: str, name: str) -> ViewT | None:
        entry = self.entry(kind, namespace, name)
        if entry is None:
            return None
        view = entry.view
        if isinstance(entry.kept, bytes) and not is_folded(view, is_new=False):
            self._entries[kind, namespace][name] = replace(entry, kept=view)
        return view if isinstance(view, type_) else None

    def owned(self, type_: type[ViewT], uid: str) -> tuple[ViewT, ...]:
        # No view of another kind is made of JSON for nothing.
        views = (entry.view for entry in self._found(uid) if issubclass(view_type(entry.kind), type_))
        return tuple(view for view in views if isinstance(view, type_))

    def about(self, kind: str, namespace: str, subject: str) -> tuple[Resource, ...]:  # type: ignore[type-arg]
        views = (entry.view for entry in self._found((kind, namespace, subject)))
        return tuple(view for view in views if isinstance(view, Resource) and not view.invalid)

    def _found(self, link: Link) -> Iterator[Entry]:
        for key in sorted(self._linked.get(link, ())):
            yield self._entries[key.kind, key.namespace][key.name]

    def entry(self, kind: str, namespace: str, name: str) -> Entry | None:
        return self._entries.get((kind, namespace), {}).get(name)

    def resource_of(self, uid: str) -> Key | None:
        """The key of our resource with this uid."""
        return self._resources.get(uid)

    def keys(self, kind: str) -> Iterator[Key]:
        for (found, namespace), names in list(self._entries.items()):
            if found == kind:
                yield from [Key(kind, namespace, name) for name in names]

    # --- writing -----------------------------------------------------------------------------------------------------
    def put(self, kind: Kind, raw: Manifest) -> bool:
        """Take in an object, unless something newer is known of it. Whether a decision could see the difference."""
        metadata = raw["metadata"]
        before = self.entry(kind.name, metadata["namespace"], metadata["name"])
        version = _number(metadata.get("resourceVersion"))
        if metadata["uid"] in self._gone or not _is_news(before, version):
            return False
        earlier = before.view if before is not None else None
        view = view_of(kind, raw, earlier)
        stored = earlier
        if earlier is not None and earlier.uid != view.uid:
            self._drop(kind.name, earlier)
            stored = None
        kept = folded(view, raw) if is_folded(view, is_new=before is None) else view
        entry = Entry(kind, kept, version, edition(kind, metadata))
        self._store(entry, view, stored)
        if before is not None and (earlier, before.generation) == (view, entry.generation):
            return False
        self._changed(kind.name, view)
        return True

    def remove(self, kind: Kind, namespace: str, name: str, uid: str) -> bool:
        """The object with this ``uid`` is gone. Whether it was known."""
        self._bury(uid)
        entry = self.entry(kind.name, namespace, name)
        view = entry.view if entry is not None else None
        if view is None or view.uid != uid:
            return False
        self._drop(kind.name, view)
        self._changed(kind.name, view)
        return True

    def prune(self, kind: Kind, namespace: str | None, listed: Collection[Named], version: str) -> int:
        """Remove what a list of that ``version`` did not show, but for what is newer. Returns how many there were."""
        absent = self._absent(kind.name, namespace, listed, _number(version))
        return sum(self.remove(kind, view.namespace, view.name, view.uid) for view in absent)

    def _absent(self, kind: str, namespace: str | None, listed: Collection[Named], version: int | None) -> list[View]:
        """Views that are not ``listed`` although they are not newer than the list."""
        return [
            entry.view
            for (found, within), names in self._entries.items()
            if found == kind and namespace in (None, within)
            for name, entry in names.items()
            if (within, name) not in listed and not _is_newer(entry.version, version)
        ]

    def _store(self, entry: Entry, view: View, before: View | None) -> None:
        """``before``: the view of what is there under this name, read once already."""
        kind = entry.kind.name
        key = Key(kind, view.namespace, view.name)
        names = self._entries.setdefault((kind, view.namespace), {})
        names[view.name] = entry
        if before is None:
            self._metrics.cached.labels(kind).inc()
        elif _links(kind, before) == _links(kind, view):
            return
        else:
            self._unlink(key, before)
        for link in _links(kind, view):
            self._linked.setdefault(link, set()).add(key)
        if kind in _OUR_KINDS:
            self._resources[view.uid] = key

    def _drop(self, kind: str, view: View) -> None:
        self._unlink(Key(kind, view.namespace, view.name), view)
        names = self._entries[kind, view.namespace]
        del names[view.name]
        if not names:
            del self._entries[kind, view.namespace]
        self._metrics.cached.labels(kind).dec()

    def _unlink(self, key: Key, view: View) -> None:
        for link in _links(key.kind, view):
            linked = self._linked.get(link, set())
            linked.discard(key)
            if not linked:
                self._linked.pop(link, None)
        self._resources.pop(view.uid, None)

    def _bury(self, uid: str) -> None:
        self._gone[uid] = None
        if len(self._gone) > TOMBSTONES:
            self._gone.popitem(last=False)


def _links(kind: str, view: View) -> list[Link]:
    """What it is found by."""
    owners: list[Link] = [view.labels[label] for label in OWNER_LABELS if label in view.labels]
    about = subject_of(view)
    return owners if about is None else [*owners, (kind, view.namespace, about)]


def _number(version: str | None) -> int | None:
    return int(version) if version is not None and version.isdecimal() else None


def _is_news(before: Entry | None, version: int | None) -> bool:
    return before is None or before.version is None or version is None or version > before.version


def _is_newer(version: int | None, than: int | None) -> bool:
    return version is not None and than is not None and version > than
