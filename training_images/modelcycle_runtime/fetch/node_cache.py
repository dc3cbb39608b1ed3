"""The cache of the node, asked before MLflow: it can make a start faster, and never wrong or much later.

What it answers is verified like everything else. Where it is away, slow or wrong, it is not asked again, and the files
come from MLflow.
"""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

from modelcycle_runtime.cache.claims import claim_seconds
from modelcycle_runtime.errors import DigestMismatch

# Where no cache runs on the node, nobody refuses the connection either: packets to the Service are dropped.
CONNECT_SECONDS = 1.0
QUIET_SECONDS = 5.0
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0
_CHUNK_BYTES = 1 << 20


class Body(Protocol):
    """What is received of an answer, wherever it comes from."""

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> Message: ...

    def read(self, amount: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _TimedBody:
    """Raises ``TimeoutError`` in the middle when the body takes longer than ``until``."""

    url: str
    headers: Message
    response: http.client.HTTPResponse
    until: float
    clock: Callable[[], float]

    def read(self, amount: int, /) -> bytes:
        if self.clock() > self.until:
            raise TimeoutError("the body takes too long")
        return self.response.read1(amount)


@dataclass(slots=True)
class NodeCache:
    """``url``: where it is, or None where there is none. ``say`` takes a line for the log."""

    url: str | None
    say: Callable[[str], None]
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)
    _given_up: bool = field(default=False, init=False)

    def read(self, digest: str, size: int, consume: Callable[[Body], str]) -> bool:
        """Whether ``consume``, which gives the digest of what it received, got the file.

        Waits for a file that somebody else is bringing. What ``consume`` raises about this pod's own disk is raised.
        """
        deadline, wait = self.clock() + claim_seconds(size), _FIRST_WAIT
        while not self._away:
            try:
                status = self._ask(digest, size, consume)
            except (OSError, http.client.HTTPException) as error:
                self._give_up(f"{type(error).__name__} {error}")
                return False
            except DigestMismatch as error:
                self._give_up(str(error))
                return False
            if status != HTTPStatus.SERVICE_UNAVAILABLE:
                return status == HTTPStatus.OK
            if self.clock() + wait > deadline:
                self.say("the file that somebody else brings to the node's cache is not waited for any longer")
                return False
            self.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        return False

    def give(self, digest: str, size: int, path: Path) -> None:
        """Takes the verified file at ``path`` to the cache, for the pods that come after. It may be refused."""
        if self._away:
            return
        try:
            with path.open("rb") as content:
                status, said = self._put(digest, size, content)
        except (OSError, http.client.HTTPException) as error:
            self._give_up(f"{type(error).__name__} {error}")
            return
        if status != HTTPStatus.CREATED:
            self.say(f"the node's cache does not keep {path.name}: HTTP {status} {said}")

    @property
    def _away(self) -> bool:
        return self.url is None or self._given_up

    def _give_up(self, why: str) -> None:
        self._given_up = True
        self.say(f"the node's cache is not asked again: {why}")

    def _ask(self, digest: str, size: int, consume: Callable[[Body], str]) -> int:
        connection, path = self._connected(), _path(digest, size)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            if response.status == HTTPStatus.OK:
                until = self.clock() + claim_seconds(size)
                found = consume(_TimedBody(f"{self.url}{path}", response.headers, response, until, self.clock))
                if found != digest:
                    raise DigestMismatch(f"{self.url}{path}: SHA-256 is {found}")
            elif response.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE):
                raise ConnectionError(f"HTTP {response.status}")
            return response.status
        finally:
            connection.close()

    def _put(self, digest: str, size: int, content: BinaryIO) -> tuple[int, str]:
        connection = self._connected()
        until = self.clock() + claim_seconds(size)

        def chunks() -> Iterator[bytes]:
            while chunk := content.read(_CHUNK_BYTES):
                if self.clock() > until:
                    raise TimeoutError("taking the file takes too long")
                yield chunk

        try:
            connection.request("PUT", _path(digest, size), chunks(), {"Content-Length": str(size)})
            response = connection.getresponse()
            return response.status, response.read(300).decode(errors="replace").strip()
        finally:
            connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(urlsplit(self.url or "").netloc, timeout=CONNECT_SECONDS)
        connection.connect()
        connection.sock.settimeout(QUIET_SECONDS)
        return connection


def _path(digest: str, size: int) -> str:
    return f"/sha256/{digest}?size={size}"
