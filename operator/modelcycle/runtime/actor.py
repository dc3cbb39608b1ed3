"""Carries out the cluster's part of a plan, and tells the cache at once what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from modelcycle.api.v1alpha1.common import ApiModel
from modelcycle.cluster.kinds import CHILDREN, DEPLOYMENT, JOB, OURS, POD_DISRUPTION_BUDGET, SERVICE, Kind, kind_of
from modelcycle.cluster.port import Cluster
from modelcycle.cluster.views import View
from modelcycle.constants import ANNOTATION_SPEC_HASH
from modelcycle.core.hashing import short_hash
from modelcycle.core.observed import Resource
from modelcycle.core.plan import Manifest, Ref
from modelcycle.errors import AlreadyExists, Conflict, NotFound, Unusable
from modelcycle.runtime.cache import OWNER_LABELS, Cache, Entry, edition

REMEMBERED = 50_000
_WATCHED = frozenset(kind.name for kind in (*OURS, *CHILDREN))
_MADE_AGAIN = frozenset({DEPLOYMENT, SERVICE, POD_DISRUPTION_BUDGET})  # for as long as their owner is there
AnyResource = Resource[Any, Any]


class Actor:
    """Everything may be done twice: what is there already as it should be costs no request."""

    def __init__(self, cluster: Cluster, cache: Cache) -> None:
        self._cluster = cluster
        self._cache = cache
        self._applied: dict[str, int] = {}  # uid -> generation after our last apply

    async def confirm(self, kind: Kind, resource: AnyResource, expected: Iterable[Ref]) -> None:
        """Ask for those of ``expected`` that the cache lacks; afterwards what it lacks is really absent.

        Raises ``Conflict`` where they are absent and ``resource`` is gone, too, or no longer what it was.
        """
        asked = [await self._entry(kind_of(ref.api_version, ref.kind), ref.namespace, ref.name) for ref in expected]
        if None not in asked:
            return
        owner = await self._assure(kind, resource.namespace, resource.name, resource.uid)
        if owner.deleting or owner != resource:
            raise Conflict(f"{kind.name} {resource.name} has changed meanwhile: it is looked at again")

    async def apply(self, resource: AnyResource, manifest: Manifest) -> None:
        """Server-side apply, unless the child is there with the same hash and nobody changed its spec since.

        Raises ``Unusable`` for a child of somebody else under our name: it is never adopted.
        """
        kind = _checked_kind(resource, manifest)
        wanted = with_hash(manifest)
        if kind == JOB and await self._made(wanted):
            return
        entry = await self._entry(kind, *_names(manifest))
        if entry is not None:
            _refuse_foreign(resource, kind, entry.view)
            if entry.view.deleting:
                raise Conflict(f"{kind.name} {entry.view.name} is still being deleted: it is made anew after that")
            if not self._differs(entry, wanted):
                return
            # Should it be deleted, or made anew by somebody else, at this moment: then the server refuses.
            wanted["metadata"]["uid"] = entry.view.uid
        elif kind in _MADE_AGAIN:
            for owner in manifest["metadata"].get("ownerReferences", ()):
                owning = kind_of(owner["apiVersion"], owner["kind"])
                await self._assure(owning, resource.namespace, owner["name"], owner["uid"])
        self._take_over(kind, await self._refreshing(kind, wanted, self._cluster.apply(kind, wanted)))

    async def create(self, resource: AnyResource, manifest: Manifest) -> None:
        """Make what is made once and never touched again. That it exists already, and is ours, is success."""
        kind = _checked_kind(resource, manifest)
        entry = self._cache.entry(kind.name, *_names(manifest))
        if entry is not None:
            _refuse_foreign(resource, kind, entry.view)
            return
        try:
            self._cache.put(kind, await self._cluster.create(kind, with_hash(manifest)))
        except AlreadyExists:
            await self._take_in(resource, kind, manifest)

    async def delete(self, resource: AnyResource, ref: Ref) -> None:
        """Delete a child of ``resource``; one that is gone, or on its way, is deleted already."""
        kind = kind_of(ref.api_version, ref.kind)
        entry = await self._entry(kind, ref.namespace, ref.name)
        if entry is None or entry.view.deleting or ref.uid not in (None, entry.view.uid):
            return
        _refuse_foreign(resource, kind, entry.view)
        uid = entry.view.uid
        try:
            left = await self._cluster.delete(kind, ref.namespace, ref.name, uid)
        except NotFound:
            left = None
        if left is None:
            self._cache.remove(kind, ref.namespace, ref.name, uid)
        else:
            self._cache.put(kind, left)

    async def write_status(self, kind: Kind, resource: AnyResource, status: ApiModel) -> None:
        """Write the whole status, if the resource is still the one that was decided on; else ``Conflict``."""
        metadata = {
            "namespace": resource.namespace,
            "name": resource.name,
            "uid": resource.uid,
            "resourceVersion": resource.resource_version,
        }
        wanted = status.manifest()
        body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, "status": wanted}
        answer = await self._refreshing(kind, body, self._cluster.write_status(kind, body))
        self._cache.put(kind, answer)
        _refuse_pruned(kind, type(status), wanted, answer)

    async def _made(self, job: Manifest) -> bool:
        """Make a Job that the cache does not know, without asking first; False when it is there already."""
        if self._cache.entry(JOB.name, *_names(job)) is not None:
            return False
        try:
            self._take_over(JOB, await self._cluster.create(JOB, job))
        except AlreadyExists:
            return False
        return True

    def _take_over(self, kind: Kind, answer: Manifest) -> None:
        if len(self._applied) >= REMEMBERED:
            self._applied.clear()
        self._applied[answer["metadata"]["uid"]] = edition(kind, answer["metadata"])
        self._cache.put(kind, answer)

    async def _assure(self, kind: Kind, namespace: str, name: str, uid: str) -> View:
        """Raise ``Conflict`` if an owner is gone: its children go with it, and watches tell of both in any order."""
        await self._refresh(kind, {"namespace": namespace, "name": name, "uid": uid})
        entry = self._cache.entry(kind.name, namespace, name)
        if entry is None or entry.view.uid != uid:
            raise Conflict(f"{kind.name} {name} is gone, and its children with it: nothing is made or said for it")
        return entry.view

    def _differs(self, entry: Entry, wanted: Manifest) -> bool:
        if getattr(entry.view, "spec_hash", None) != wanted["metadata"]["annotations"][ANNOTATION_SPEC_HASH]:
            return True
        # The hash is our own annotation and stays when somebody edits the child; the generation does not. What
        # this process has not applied may have been edited while nobody looked: an equal apply writes nothing.
        return self._applied.get(entry.view.uid, -1) < entry.generation

    async def _entry(self, kind: Kind, namespace: str, name: str) -> Entry | None:
        """What the cache knows, or else the API server."""
        entry = self._cache.entry(kind.name, namespace, name)
        if entry is None:
            try:
                self._cache.put(kind, await self._cluster.get(kind, namespace, name))
            except NotFound:
                return None
            entry = self._cache.entry(kind.name, namespace, name)
        return entry

    async def _take_in(self, resource: AnyResource, kind: Kind, manifest: Manifest) -> None:
        namespace, name = _names(manifest)
        if kind.name in _WATCHED:
            entry = await self._entry(kind, namespace, name)
            if entry is not None:
                _refuse_foreign(resource, kind, entry.view)
            return
        # We may not read Secrets. The name has the owner's uid in it, so this one is ours; remember that it is there.
        self._cache.put(kind, manifest | {"metadata": manifest["metadata"] | {"uid": f"unread-{namespace}-{name}"}})

    async def _refreshing(self, kind: Kind, body: Manifest, request: Awaitable[Manifest]) -> Manifest:
        """Await a write; if the cache was wrong about its object, read that anew before the error goes on."""
        try:
            return await request
        except (Conflict, NotFound):
            await self._refresh(kind, body["metadata"])
            raise

    async def _refresh(self, kind: Kind, metadata: Manifest) -> None:
        namespace, name = metadata["namespace"], metadata["name"]
        try:
            self._cache.put(kind, await self._cluster.get(kind, namespace, name))
        except NotFound:
            if "uid" in metadata:
                self._cache.remove(kind, namespace, name, metadata["uid"])


def with_hash(manifest: Manifest) -> Manifest:
    """A copy with the hash of ``manifest`` in its annotations."""
    metadata = manifest["metadata"]
    annotations = (metadata.get("annotations") or {}) | {ANNOTATION_SPEC_HASH: short_hash(manifest)}
    return manifest | {"metadata": metadata | {"annotations": annotations}}


def _checked_kind(resource: AnyResource, manifest: Manifest) -> Kind:
    """The manifest's kind. A child in another namespace, or without its owner's label, is a bug of ours: say so."""
    kind = kind_of(manifest["apiVersion"], manifest["kind"])
    namespace, name = _names(manifest)
    if namespace != resource.namespace or not _is_owned(manifest["metadata"].get("labels") or {}, resource):
        raise Unusable(
            "InternalError", f"{kind.name} {namespace}/{name} does not say that it belongs to {resource.name}"
        )
    return kind


def _refuse_foreign(resource: AnyResource, kind: Kind, view: View) -> None:
    if not _is_owned(view.labels, resource):
        raise Unusable(
            "ForeignObject",
            f"{kind.name} {view.namespace}/{view.name} exists already and belongs to somebody else (none of its labels "
            f"{' and '.join(OWNER_LABELS)} is {resource.uid}): delete it, or give this resource another name",
        )


def _refuse_pruned(kind: Kind, model: type[ApiModel], wanted: Manifest, answer: Manifest) -> None:
    """Without this check, a field that the CRD lacks would be written again in every pass."""
    kept = answer.get("status") or {}
    if kept == wanted:
        return
    stored = model.model_validate(kept).manifest()
    if stored != wanted:
        lost = sorted(field for field in wanted if stored.get(field) != wanted[field])
        raise Unusable(
            "CrdOutdated",
            f"the API server did not keep {', '.join(lost)} of the status of {kind.name}: its CRD is not that of this "
            "operator, apply the operator's own (`modelcycle crds | kubectl apply --server-side -f -`)",
        )


def _is_owned(labels: Mapping[str, str], resource: AnyResource) -> bool:
    return any(labels.get(label) == resource.uid for label in OWNER_LABELS)


def _names(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]
