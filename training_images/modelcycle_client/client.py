"""The client for programs with threads, which may share it."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import urllib3
from numpy.typing import ArrayLike
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError
from urllib3.exceptions import TimeoutError as Urllib3TimeoutError

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
from modelcycle_client.protocol import Answer, EventTime, Metadata, Options, infer_request, read_answer, read_metadata
from modelcycle_client.retries import Course, Retries
from modelcycle_client.tensors import Tensor


class Client:
    """Asks one model of one server.

    ::

        with Client("http://hedge.energy-desk.svc", "energy-desk.hedge") as client:
            answer = client.infer({"features": rows}, event_time="2009-08-14T20:00:00Z")
            print(answer.version, answer["prediction"])
            ...
            client.feedback(zip(answer.tokens, what_came_true))

    Connections are kept, and opened anew (so that they spread over the replicas again) when the server closes them.
    """

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
        """Nothing is sent yet.

        Args:
            url: of the server, ``http://HOST:PORT``.
            model: its name in the registry.
            version: refuse (:class:`NotServed`) to be answered by another one.
            timeout: seconds for a call with all of its attempts; the server is told what is left. None waits for ever.
            retries: when to try again; see :mod:`modelcycle_client.retries`.
            connections: kept at most.
            headers: sent with every request, such as Authorization.
            tls: what to trust, for https.
        """
        self._server = read_server(url, model, version)
        self._timeout, self._retries, self._headers = timeout, retries, dict(headers or {})
        secure = {} if tls is None or self._server.origin.startswith("http:") else {"ssl_context": tls}
        self._pool = urllib3.connection_from_url(self._server.origin, maxsize=connections, block=False, **secure)

    def infer(
        self,
        inputs: Mapping[str, ArrayLike | Tensor],
        *,
        outputs: Sequence[str] | None = None,
        event_time: EventTime | Sequence[EventTime] | None = None,
        priority: int | None = None,
        request_id: str | None = None,
        timeout: float | None = None,
        binary: bool = True,
    ) -> Answer:
        """What the model says of ``inputs``: arrays by name, whose datatypes are those of their dtypes.

        Args:
            inputs: the first size is that of the rows.
            outputs: those wanted; all by default.
            event_time: when what the rows tell of happened: one, or one for each row; now by default.
            priority: the smaller the sooner it leaves the server's queue.
            request_id: comes back in the answer.
            timeout: seconds, instead of the client's.
            binary: send and get tensors as bytes; else as JSON.

        Raises:
            ClientError: see the tree in :mod:`modelcycle_client.errors`.
        """
        options = Options(None if outputs is None else tuple(outputs), event_time, priority, request_id, binary)
        call = Call("POST", self._server.path("/infer"), lambda left: infer_request(inputs, options, left))
        came, _ = self._call(call, timeout)
        return read_answer(came.headers, came.body)

    def feedback(self, rows: Iterable[tuple[str, float]], *, timeout: float | None = None) -> Feedback:
        """Give labels back: pairs of a token of an answer, and what came true.

        Raises:
            FeedbackRefused: some did not count; its ``feedback`` says which, and the others did.
            ClientError: none is known to have counted.
        """
        request = labels.feedback_request(rows)
        came, course = self._call(Call("POST", self._server.path("/feedback"), lambda _: request), timeout)
        return labels.check(labels.read_feedback(came.body, resent=course.may_be_twice))

    def metadata(self, *, timeout: float | None = None) -> Metadata:
        """What the model takes and gives."""
        came, _ = self._call(asking(self._server.path("")), timeout)
        return read_metadata(came.body)

    def ready(self, *, timeout: float | None = None) -> bool:
        """Whether the server would answer now; False where nobody is there."""
        try:
            self._attempt(asking(self._server.ready_path), Course(self._retries, self._seconds(timeout)))
        except (Busy, ConnectFailed, ConnectionLost, DeadlineExceeded):
            return False
        return True

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _seconds(self, timeout: float | None) -> float | None:
        return self._timeout if timeout is None else timeout

    def _call(self, call: Call, timeout: float | None) -> tuple[Came, Course]:
        course = Course(self._retries, self._seconds(timeout))
        while True:
            try:
                return self._attempt(call, course), course
            except ClientError as error:
                wait = course.after(error)
            time.sleep(wait)

    def _attempt(self, call: Call, course: Course) -> Came:
        left = course.begin()
        request = call.make(left)
        whole = joined(request)
        headers = {**self._headers, **request.headers}
        if call.method == "POST":
            headers["Content-Length"] = str(sum(len(part) for part in request.parts))
        try:
            response = self._pool.urlopen(
                call.method,
                call.path,
                body=request.parts if whole is None else whole,  # type: ignore[arg-type] # it takes parts that are views too
                headers=headers,
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(total=left),
                preload_content=False,
                decode_content=False,
            )
        except HTTPError as error:
            raise _said(error) from error
        try:
            body = response.read()
        except HTTPError as error:
            raise _said_within(error) from error
        return Came(response.status, response.headers, body).checked()


def _said(error: HTTPError) -> ClientError:
    """What went wrong before an answer."""
    cause = error.args[1] if isinstance(error, ProtocolError) and len(error.args) > 1 else None
    if isinstance(error, NewConnectionError):
        return ConnectFailed(str(error))
    if isinstance(error, Urllib3TimeoutError) or isinstance(cause, TimeoutError):
        return DeadlineExceeded(str(error))
    if isinstance(cause, ConnectionError):
        return ConnectionLost(str(error))
    return GarbledAnswer(str(error)) if isinstance(error, ProtocolError) else ConnectFailed(str(error))


def _said_within(error: HTTPError) -> ClientError:
    """What went wrong within an answer."""
    return (DeadlineExceeded if isinstance(error, Urllib3TimeoutError) else BrokenOff)(str(error))
