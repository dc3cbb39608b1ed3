"""A plain client of the API server for whoever plays the user, the kubelet or a controller in a test."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from modelcycle.cluster.credentials import Credentials, CredentialSource
from modelcycle.cluster.kinds import KINDS, Kind

Manifest = dict[str, Any]
TLS_END_SECONDS = 0.3  # aiohttp does not wait for TLS connections to be closed, and a loop that ends then warns
MERGE = "application/merge-patch+json"


class KubeError(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


@dataclass(frozen=True)
class Kube:
    session: aiohttp.ClientSession
    credentials: Credentials

    async def request(self, method: str, path: str, body: Manifest | None = None, type_: str = MERGE) -> Manifest:
        """The answer's JSON. Raises ``KubeError`` with the server's status and words."""
        while True:
            try:
                return await self._request(method, path, body, type_)
            except KubeError as error:
                if error.status != 429:  # a CRD that was applied a moment ago is still being set up
                    raise
            await asyncio.sleep(0.2)

    async def _request(self, method: str, path: str, body: Manifest | None, type_: str) -> Manifest:
        content = type_ if method == "PATCH" else "application/json"
        async with self.session.request(
            method,
            self.credentials.server + path,
            data=None if body is None else io.BytesIO(json.dumps(body).encode()),  # bytes would be warned of if large
            headers={**self.headers, "Content-Type": content},
        ) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise KubeError(answer.status, text)
            return dict(json.loads(text))

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": self.credentials.authorization} if self.credentials.authorization else {}

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Manifest | None:
        try:
            return await self.request("GET", kind.path(namespace, name))
        except KubeError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, kind: Kind, namespace: str | None = None) -> Manifest:
        return await self.request("GET", kind.path(namespace))

    async def create(self, manifest: Manifest) -> Manifest:
        kind = KINDS[manifest["kind"]]
        return await self.request("POST", kind.path(manifest["metadata"].get("namespace")), manifest)

    async def patch(self, kind: Kind, namespace: str, name: str, body: Manifest, part: str | None = None) -> Manifest:
        """A merge patch, of the subresource ``part`` if one is given."""
        return await self.request("PATCH", kind.path(namespace, name, part), body)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete at once; fine when it is gone."""
        options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}  # Jobs' own default orphans their pods
        try:
            await self.request("DELETE", kind.path(namespace, name), options)
        except KubeError as error:
            if error.status != 404:
                raise

    async def watch(self, kind: Kind, since: str) -> AsyncIterator[Manifest]:
        """Events of all namespaces after the resourceVersion ``since``."""
        address = f"{self.credentials.server}{kind.path()}?watch=1&resourceVersion={since}"
        patience = aiohttp.ClientTimeout(total=None)
        async with self.session.get(address, headers=self.headers, timeout=patience) as answer:
            if answer.status >= 400:
                raise KubeError(answer.status, await answer.text())
            # Not readline(): an object may be longer than a line may be there.
            rest = b""
            async for chunk in answer.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Kube]:
    credentials = await CredentialSource(kubeconfig).load()
    async with new_session(credentials) as session:
        yield Kube(session, credentials)


@asynccontextmanager
async def new_session(credentials: Credentials) -> AsyncIterator[aiohttp.ClientSession]:
    """A session without a limit on connections: each watch keeps one."""
    connector = aiohttp.TCPConnector(ssl=credentials.ssl_context(), limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session
    await asyncio.sleep(TLS_END_SECONDS)
