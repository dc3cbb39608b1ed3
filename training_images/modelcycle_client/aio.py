"""The client for asyncio. It belongs to the event loop that first uses it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from numpy.typing import ArrayLike
from yarl import URL

from modelcycle_client import feedback as labels
from modelcycle_client.calls import Call, Came, asking, joined, read_server
from modelcycle_client.errors import (
    BrokenOff,
    Busy,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GarbledAnswer,
)
from modelcycle_client.feedback import Feedback
from modelcycle_client.protocol import (
    Answer,
    EventTime,
    Metadata,
    Options,
    Request,
    infer_request,
    read_answer,
    read_metadata,
)
from modelcycle_client.retries import Course, Retries
from modelcycle_client.tensors import Tensor


class AsyncClient:
    """As :class:`modelcycle_client.client.Client`, with its arguments and errors, and ``await`` before each call."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        version: str | None = None,
        timeout: float | None = 10.0,
        retries: Retries = Retries(),  # noqa: B008 it is frozen
        connections: int = 16,
        headers: Mapping[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Nothing is sent yet. At most ``connections`` requests are under way; further ones wait for a free one."""
        self._server = read_server(url, model, version)
        self._timeout, self._retries, self._headers = timeout, retries, dict(headers or {})
        self._connections, self._tls = connections, tls
        self._session: aiohttp.ClientSession | None = None

    async def infer(
        self,
        inputs: Mapping[str, ArrayLike | Tensor],
        *,
        outputs: Sequence[str] | None = None,
        event_time: EventTime | Sequence[EventTime] | None = None,
        priority: int | None = None,
        request_id: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 the server is told of it
        binary: bool = True,
    ) -> Answer:
        options = Options(None if outputs is None else tuple(outputs), event_time, priority, request_id, binary)
        call = Call("POST", self._server.path("/infer"), lambda left: infer_request(inputs, options, left))
        came, _ = await self._call(call, timeout)
        return read_answer(came.headers, came.body)

    async def feedback(
        self,
        rows: Iterable[tuple[str, float]],
        *,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> Feedback:
        request = labels.feedback_request(rows)
        came, course = await self._call(Call("POST", self._server.path("/feedback"), lambda _: request), timeout)
        return labels.check(labels.read_feedback(came.body, resent=course.may_be_twice))

    async def metadata(self, *, timeout: float | None = None) -> Metadata:  # noqa: ASYNC109
        came, _ = await self._call(asking(self._server.path("")), timeout)
        return read_metadata(came.body)

    async def ready(self, *, timeout: float | None = None) -> bool:  # noqa: ASYNC109
        try:
            await self._attempt(asking(self._server.ready_path), Course(self._retries, self._seconds(timeout)))
        except (Busy, ConnectFailed, ConnectionLost, DeadlineExceeded):
            return False
        return True

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _seconds(self, timeout: float | None) -> float | None:
        return self._timeout if timeout is None else timeout

    def _opened(self) -> aiohttp.ClientSession:
        """The session, which can only be made within the event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ssl=True if self._tls is None else self._tls),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("Accept-Encoding",),
            )
        return self._session

    async def _call(self, call: Call, seconds: float | None) -> tuple[Came, Course]:
        course = Course(self._retries, self._seconds(seconds))
        while True:
            try:
                return await self._attempt(call, course), course
            except ClientError as error:
                wait = course.after(error)
            await asyncio.sleep(wait)

    async def _attempt(self, call: Call, course: Course) -> Came:
        left = course.begin()
        request = call.make(left)
        whole = joined(request)
        try:
            response = await self._opened().request(
                call.method,
                URL(self._server.origin + call.path, encoded=True),
                data=(_Parts(request) if whole is None else whole) if call.method == "POST" else None,
                headers={**self._headers, **request.headers},
                timeout=aiohttp.ClientTimeout(total=left),
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _said(error) from error
        try:
            body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _said_within(error) from error
        return Came(response.status, response.headers, body).checked()


class _Parts(Payload):
    """A body whose parts are sent as they are, since to join them would copy large arrays."""

    def __init__(self, request: Request) -> None:
        super().__init__(request.parts, content_type=request.headers["Content-Type"])
        self._parts = request.parts
        self._size = sum(len(part) for part in request.parts)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._parts).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for part in self._parts:
            await writer.write(part)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await self.write(writer)


def _said(error: Exception) -> ClientError:
    """What went wrong before an answer."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, TimeoutError):
        return DeadlineExceeded(text)
    if isinstance(error, aiohttp.ClientConnectorError):
        return ConnectFailed(text)
    if isinstance(error, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        return ConnectionLost(text)
    return GarbledAnswer(text)


def _said_within(error: Exception) -> ClientError:
    """What went wrong within an answer."""
    return (DeadlineExceeded if isinstance(error, TimeoutError) else BrokenOff)(f"{type(error).__name__}: {error}")
