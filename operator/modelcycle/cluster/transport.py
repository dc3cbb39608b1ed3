"""One keep-alive HTTP session with the API server: credentials, time limits, and answers turned into our errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from modelcycle.cluster.credentials import TOKEN_SECONDS, Credentials, CredentialSource
from modelcycle.core.plan import Manifest
from modelcycle.core.text import clip
from modelcycle.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    ModelcycleError,
    NotFound,
    Refused,
    Terminating,
    Unavailable,
)
from modelcycle.sending import asks_when_sending

REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 10.0
CONNECTIONS = 64
MESSAGE_BYTES = 1024
JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Request:
    """``what`` names the request in errors, e.g. ``apply Job shop/ranker-1``.

    ``may_be_sent`` is called right before it is sent, and may raise.
    """

    method: str
    path: str
    what: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    body: Manifest | None = None
    content_type: str = JSON_TYPE
    may_be_sent: Callable[[], None] | None = None


class Transport:
    """Sends requests; made and closed in the running event loop."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self._credentials: Credentials | None = None
        self._loaded_at = 0.0
        self._reloading = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Manifest:
        """The answer's JSON object. Raises what ``error_of`` says, and ``Unavailable`` when there is no answer."""
        try:
            session, credentials = await self._ready()
            status, headers, content = await _exchange(session, credentials, request)
            if status == 401:  # our token may just have been rotated
                await self._reload(credentials)
                status, headers, content = await _exchange(*await self._ready(), request)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"{request.what}: the API server does not answer: {reason}") from error
        if status >= 400:
            raise error_of(request.what, status, content.decode(errors="replace"), headers.get("Retry-After"))
        return _object(request.what, content)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ready(self) -> tuple[aiohttp.ClientSession, Credentials]:
        now = asyncio.get_running_loop().time()
        if self._credentials is None or now - self._loaded_at > TOKEN_SECONDS:
            await self._reload(self._credentials)
        if self._session is None or self._credentials is None:
            raise Unavailable("the session with the API server is closed")
        return self._session, self._credentials

    async def _reload(self, seen: Credentials | None) -> None:
        async with self._reloading:
            if self._credentials is not seen:
                return  # another request was refused, too, and was faster
            self._credentials = await self._source.load()
            self._loaded_at = asyncio.get_running_loop().time()
            if self._session is None or seen is None or _tls(seen) != _tls(self._credentials):
                await self.close()
                self._session = self._new_session(self._credentials)

    @staticmethod
    def _new_session(credentials: Credentials) -> aiohttp.ClientSession:
        secure = credentials.server.startswith("https")
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=credentials.ssl_context() if secure else True)
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=timeout,
            trace_configs=[asks_when_sending()],
        )


async def _exchange(
    session: aiohttp.ClientSession, credentials: Credentials, request: Request
) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and content of the answer."""
    headers = {"Accept": JSON_TYPE, "User-Agent": "modelcycle"}
    if credentials.authorization:
        headers["Authorization"] = credentials.authorization
    if request.body is not None:
        headers["Content-Type"] = request.content_type
    async with session.request(
        request.method,
        credentials.server + request.path,
        params=request.parameters,
        data=None if request.body is None else orjson.dumps(request.body),
        headers=headers,
        trace_request_ctx=request.may_be_sent,
    ) as response:
        return response.status, response.headers, await response.read()


def _tls(credentials: Credentials) -> tuple[Any, ...]:
    return credentials.ca_path, credentials.certificate_path, credentials.key_path, credentials.verify


def error_of(what: str, status: int, text: str, retry_after: str | None) -> ModelcycleError:
    """The error that an answer means. The server's own message is kept, since it names the field or the quota."""
    answer = _status(text)
    reason = answer.get("reason", "")
    said = f"{what}: {clip(str(answer.get('message', '')), MESSAGE_BYTES)} ({status} {reason})"
    if status == 404:
        return NotFound(said)
    if status == 409 or _is_another_object(answer):
        return AlreadyExists(said) if reason == "AlreadyExists" else Conflict(said)
    if status == 410:
        return Expired(said)
    if status == 401:
        return Unavailable(f"{said}: the API server does not accept our credentials")
    if status == 429 or status >= 500:
        return Unavailable(said, _seconds(retry_after))
    return Terminating(said) if _is_terminating(answer) else Refused(said)


def _status(text: str) -> Mapping[str, Any]:
    """The ``Status`` object; anything else, such as a proxy's page, is taken for its message."""
    try:
        status = orjson.loads(text)
    except ValueError:
        return {"message": text}
    return status if isinstance(status, dict) else {"message": text}


def _is_another_object(status: Mapping[str, Any]) -> bool:
    """Server-side apply with the uid of a former life answers 422, as if somebody wanted to change a uid."""
    return any(cause.get("field") == "metadata.uid" for cause in _causes(status))


def _is_terminating(status: Mapping[str, Any]) -> bool:
    return any(cause.get("reason") == "NamespaceTerminating" for cause in _causes(status))


def _causes(status: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (status.get("details") or {}).get("causes") or ()


def _seconds(retry_after: str | None) -> float | None:
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def _object(what: str, content: bytes) -> Manifest:
    """Raises ``Unavailable`` for anything else, which somebody on the way must have answered."""
    try:
        value = orjson.loads(content)
    except ValueError as error:
        raise Unavailable(f"{what}: the API server answered something that is not JSON: {_excerpt(content)}") from error
    if not isinstance(value, dict):
        raise Unavailable(f"{what}: the API server answered something that is not an object: {_excerpt(content)}")
    return value


def _excerpt(content: bytes) -> str:
    return clip(content[:1000].decode(errors="replace"), 200)
