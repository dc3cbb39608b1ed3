"""What the runtime asks of a Kubernetes cluster. JSON objects in and out; ``modelcycle.errors`` for everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from modelcycle.cluster.kinds import Kind
from modelcycle.core.plan import Manifest


@dataclass(frozen=True, slots=True)
class Page:
    """``resource_version``: the moment that all pages of a list show: what was there before and is on none is gone."""

    items: tuple[Manifest, ...]
    resource_version: str


class Fence(Protocol):
    """Consulted right before each write is started."""

    def check(self) -> None:
        """Raises ``Fenced`` when this replica may not write (any more)."""


class Cluster(Protocol):
    """Objects of one cluster. Every write consults the fence and waits for the token bucket first."""

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest:
        """Raises ``NotFound``."""

    def pages(self, kind: Kind, namespace: str | None = None, label_selector: str | None = None) -> AsyncIterator[Page]:
        """A list of all objects, page by page; of all namespaces without ``namespace``.

        Raises ``Expired`` when reading took so long that the list has to be begun again.
        """

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Server-side apply, forced: a field that we own goes back to what we said. Returns the object.

        ``metadata.uid`` in the manifest is a precondition: ``Conflict`` when the object is another one, or gone.
        """

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Raises ``AlreadyExists``."""

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replace the whole object; ``metadata.resourceVersion`` is a precondition: ``Conflict`` when it changed."""

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Replace the status, and nothing else, of the object that ``manifest.metadata`` names.

        ``metadata.uid`` and ``metadata.resourceVersion`` are preconditions: ``Conflict`` when the object changed.
        """

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Manifest | None:
        """Delete, its children in the background. ``Conflict`` when the uid is another, ``NotFound`` when it is gone.

        Returns the object if it is still there, being deleted; None when it is gone.
        """


class WriteObserver(Protocol):
    """Told of every write's result: ``ok``, or the class of the error."""

    def __call__(self, verb: str, kind: str, result: str) -> None: ...
