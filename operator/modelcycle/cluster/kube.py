"""The cluster behind ``modelcycle.cluster.port``: a real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

from modelcycle.cluster.bucket import TokenBucket
from modelcycle.cluster.kinds import Kind
from modelcycle.cluster.port import Fence, Page, WriteObserver
from modelcycle.cluster.transport import Request, Transport
from modelcycle.constants import FIELD_MANAGER, STATUS_MANAGER
from modelcycle.core.plan import Manifest
from modelcycle.errors import ModelcycleError, Unavailable

CHUNK = 500
APPLY_TYPE = "application/apply-patch+yaml"  # JSON is YAML
_BY_US = {"fieldManager": FIELD_MANAGER}


class KubeCluster:
    """See ``Cluster``. Several may share a transport, with fences and buckets of their own."""

    def __init__(self, transport: Transport, bucket: TokenBucket, fence: Fence, observe: WriteObserver) -> None:
        self._transport = transport
        self._bucket = bucket
        self._fence = fence
        self._observe = observe

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest:
        return await self._read(Request("GET", kind.path(namespace, name), f"get {_label(kind, namespace, name)}"))

    async def pages(
        self, kind: Kind, namespace: str | None = None, label_selector: str | None = None
    ) -> AsyncIterator[Page]:
        parameters = {"limit": str(CHUNK)} | ({"labelSelector": label_selector} if label_selector else {})
        while True:
            request = Request("GET", kind.path(namespace), f"list {kind.plural}", parameters)
            page = await self._read(request)
            metadata = page.get("metadata", {})
            yield Page(tuple(page.get("items", ())), str(metadata.get("resourceVersion", "")))
            if not metadata.get("continue"):
                return
            parameters = parameters | {"continue": metadata["continue"]}

    async def apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        what, path = _target("apply", kind, manifest)
        parameters = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._write("apply", kind, Request("PATCH", path, what, parameters, manifest, APPLY_TYPE))

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        what, _ = _target("create", kind, manifest)
        path = kind.path(manifest["metadata"].get("namespace"))
        return await self._write("create", kind, Request("POST", path, what, _BY_US, manifest))

    async def replace(self, kind: Kind, manifest: Manifest) -> Manifest:
        what, path = _target("replace", kind, manifest)
        return await self._write("replace", kind, Request("PUT", path, what, _BY_US, manifest))

    async def write_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        what, path = _target("write status of", kind, manifest)
        request = Request("PUT", f"{path}/status", what, {"fieldManager": STATUS_MANAGER}, manifest)
        return await self._write("status", kind, request)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> Manifest | None:
        what, path = _target("delete", kind, {"metadata": {"namespace": namespace, "name": name}})
        options = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {"uid": uid},
        }
        answer = await self._write("delete", kind, Request("DELETE", path, what, {}, options))
        return answer if answer.get("metadata", {}).get("deletionTimestamp") else None

    async def _write(self, verb: str, kind: Kind, request: Request) -> Manifest:
        await self._bucket.take()
        # After the wait for a token, and again after that for a connection: what counts is when the write is started.
        self._fence.check()
        try:
            answer = await self._send(replace(request, may_be_sent=self._fence.check))
        except ModelcycleError as error:
            self._observe(verb, kind.name, type(error).__name__)
            raise
        self._observe(verb, kind.name, "ok")
        return answer

    async def _read(self, request: Request) -> Manifest:
        await self._bucket.take()
        return await self._send(request)

    async def _send(self, request: Request) -> Manifest:
        try:
            return await self._transport.send(request)
        except Unavailable as error:
            if error.after is not None:
                self._bucket.pause(error.after)
            raise


def _target(verb: str, kind: Kind, manifest: Manifest) -> tuple[str, str]:
    """What the request is, in words, and the path of its object."""
    namespace, name = manifest["metadata"].get("namespace"), manifest["metadata"]["name"]
    return f"{verb} {_label(kind, namespace, name)}", kind.path(namespace, name)


def _label(kind: Kind, namespace: str | None, name: str) -> str:
    return f"{kind.name} {namespace}/{name}" if namespace else f"{kind.name} {name}"
