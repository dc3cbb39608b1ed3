"""One careful HTTP client for the administrator's endpoints: bounded in time and size, no POST is sent twice.

Whether a request may be sent twice is known to the caller only: a POST whose answer got lost may have been committed.
So everything that leaves this doubt is ``Unavailable``, and the next pass of the controller searches before it creates.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from modelcycle.core.text import clip
from modelcycle.errors import NotFound, Refused, Unavailable
from modelcycle.sending import asks_when_sending
from modelcycle.settings import Endpoint

ANSWER_SECONDS = 10.0
DOWNLOAD_SECONDS = 1800.0
SILENCE_SECONDS = 30.0
CHUNK_BYTES = 1 << 20
CONNECTIONS = 8
# Uvicorn closes idle connections after 5 s: one that is reused at that moment would look like a lost answer.
IDLE_SECONDS = 3.0
EXCERPT_BYTES = 200


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """A whole answer. ``asked`` says for messages whom we asked for what."""

    asked: str
    status: int
    body: bytes

    @property
    def json(self) -> object:
        """The body as JSON, or None when it is something else."""
        try:
            parsed: object = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return parsed

    @property
    def excerpt(self) -> str:
        """The beginning of the body, short enough for a message of unknown content."""
        text = self.body[: 4 * EXCERPT_BYTES].decode(errors="replace")
        return clip(" ".join(text.split()), EXCERPT_BYTES) or "an empty body"


class HttpEndpoint:
    """A client of one endpoint. Made inside of the running event loop; ``system`` names it in messages.

    Redirects are not followed, proxies of the environment are not used, and the bearer token is read anew for each
    request, since mounted Secrets rotate.
    """

    def __init__(self, endpoint: Endpoint, system: str, max_bytes: int) -> None:
        """``max_bytes`` bounds an answer that is read whole. Raises Refused when the CA file can't be used."""
        self.name = f"{system} endpoint {endpoint.name!r}"
        self._endpoint = endpoint
        self._base = endpoint.url.rstrip("/")
        self._max_bytes = max_bytes
        # Whoever waits for a connection waits here, before the time for its answer begins.
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=_trusted(endpoint, self.name), limit_per_host=CONNECTIONS, keepalive_timeout=IDLE_SECONDS
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS),
            trace_configs=[asks_when_sending()],
        )

    async def close(self) -> None:
        await self._session.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        may_be_sent: Callable[[], None] | None = None,
    ) -> HttpAnswer:
        """Send one request and read its answer whole, whatever its status but a redirect.

        ``may_be_sent`` is called right before it is sent, and may raise. Raises ``Unavailable``: no answer, not in
        time, or one larger than the bound. ``Refused``: a redirect.
        """
        asked = f"{self.name}: {method} {path}"
        with self._failures(asked):
            async with (
                self._turns,
                self._session.request(
                    method,
                    self._url(path),
                    params=params,
                    json=body,
                    data=form,
                    headers=self._headers(asked),
                    allow_redirects=False,
                    trace_request_ctx=may_be_sent,
                ) as response,
            ):
                self._refuse_redirect(asked, response)
                return HttpAnswer(asked, response.status, await self._read(asked, response))

    @asynccontextmanager
    async def download(self, path: str, *, never: frozenset[str] = frozenset()) -> AsyncIterator[AsyncIterator[bytes]]:
        """A file's content, chunk by chunk. Raises ``NotFound``, ``Unavailable``, ``Refused``.

        ``never``: content types that the file can't have, so that they are of something on the way.
        """
        asked = f"{self.name}: GET {path}"
        patience = aiohttp.ClientTimeout(total=DOWNLOAD_SECONDS, sock_connect=ANSWER_SECONDS, sock_read=SILENCE_SECONDS)
        with self._failures(asked):
            async with (
                self._turns,
                self._session.get(
                    self._url(path), headers=self._headers(asked), allow_redirects=False, timeout=patience
                ) as response,
            ):
                self._refuse_redirect(asked, response)
                if response.status == 404:
                    raise NotFound(f"{asked}: there is no such file")
                if response.status != 200:
                    raise failure(HttpAnswer(asked, response.status, await self._read(asked, response)))
                if response.content_type in never:
                    raise Unavailable(f"{asked}: {response.content_type} came instead of the file")
                yield response.content.iter_chunked(CHUNK_BYTES)

    def _url(self, path: str) -> URL:
        return URL(f"{self._base}/{path}", encoded=True)

    def _headers(self, asked: str) -> dict[str, str]:
        if self._endpoint.token_file is None:
            return {}
        try:
            token = Path(self._endpoint.token_file).read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            raise Unavailable(
                f"{asked}: the bearer token can't be read from {self._endpoint.token_file}: {error}"
            ) from error
        return {"Authorization": f"Bearer {token}"}

    async def _read(self, asked: str, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > self._max_bytes:
                raise Unavailable(f"{asked}: the answer is larger than {self._max_bytes} bytes; nothing of it is used")
        return bytes(body)

    @staticmethod
    def _refuse_redirect(asked: str, response: aiohttp.ClientResponse) -> None:
        if 300 <= response.status < 400:
            target = clip(response.headers.get("Location", "nowhere"), EXCERPT_BYTES)
            raise Refused(
                f"{asked}: redirected ({response.status}) to {target}; redirects are not followed, "
                "give the final address as the endpoint's url"
            )

    @contextmanager
    def _failures(self, asked: str) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise Unavailable(f"{asked}: no answer in time; is {self._base} up and reachable?") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(f"{asked}: {type(error).__name__}: {clip(str(error), EXCERPT_BYTES)}") from error


def failure(answer: HttpAnswer, said: str | None = None) -> Unavailable | Refused:
    """The error for an answer that is no success, by its status; ``said`` is the reason that the other side gave.

    A conflict (409) is over at the next try, when what is there now is read anew.
    """
    text = f"{answer.asked}: {answer.status}: {clip(said, 2 * EXCERPT_BYTES) if said else answer.excerpt}"
    if answer.status == 401:
        return Refused(f"{text}; give the endpoint a valid token_file")
    if answer.status in (400, 403, 405, 413, 422):
        return Refused(text)
    return Unavailable(text)


def _trusted(endpoint: Endpoint, name: str) -> ssl.SSLContext | bool:
    if endpoint.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=endpoint.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Refused(f"{name}: ca_file {endpoint.ca_file} can't be used: {error}") from error
