"""From a change in the cache to the keys that it concerns."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from modelcycle.cluster.views import View
from modelcycle.core.observed import Resource
from modelcycle.runtime.cache import OWNER_LABELS, Cache
from modelcycle.runtime.ports import Domain, Key
from modelcycle.runtime.queue import WorkQueue

LOG = logging.getLogger(__name__)


class Router:
    """Puts keys on queues. ``cache`` is set once it exists: the two need each other."""

    def __init__(self) -> None:
        self._queues: Mapping[str, WorkQueue] = {}
        self._domains: tuple[Domain, ...] = ()
        self._cache: Cache | None = None

    def connect(self, cache: Cache, domains: Iterable[Domain], queues: Mapping[str, WorkQueue]) -> None:
        self._cache, self._domains, self._queues = cache, tuple(domains), queues

    def enqueue(self, key: Key) -> None:
        queue = self._queues.get(key.kind)
        if queue is not None:
            queue.add(key)

    def changed(self, kind: str, view: View) -> None:
        """To be called by the cache after each change."""
        if self._cache is None:
            return
        for key in {*_itself(kind, view), *_owners(view, self._cache), *self._concerned(kind, view, self._cache)}:
            self.enqueue(key)

    def resync(self) -> None:
        """Every key of every queue, behind whatever is new."""
        for kind, queue in self._queues.items():
            for key in self._cache.keys(kind) if self._cache is not None else ():
                queue.add(key, resync=True)

    def _concerned(self, kind: str, view: View, cache: Cache) -> list[Key]:
        found: list[Key] = []
        for domain in self._domains:
            try:
                found += domain.concerned(kind, view, cache)
            except Exception:  # a bug in one domain must not end the watch
                LOG.exception("%s can't tell whom %s %s/%s concerns", domain.kind, kind, view.namespace, view.name)
        return found


def _itself(kind: str, view: View) -> list[Key]:
    return [Key(kind, view.namespace, view.name)] if isinstance(view, Resource) else []


def _owners(view: View, cache: Cache) -> list[Key]:
    keys = (cache.resource_of(view.labels[label]) for label in OWNER_LABELS if label in view.labels)
    return [key for key in keys if key is not None]
