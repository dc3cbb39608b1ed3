"""The HTTP interface: routes of the Open Inference Protocol v2, and feedback."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPMethod
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from modelcycle_runtime.serve import tensors
from modelcycle_runtime.serve.connections import REQUEST_SECONDS, SEND_SECONDS, Connection
from modelcycle_runtime.serve.desk import Desk
from modelcycle_runtime.serve.errors import BadRequest, RequestError
from modelcycle_runtime.serve.feedback import Fate, Outcome
from modelcycle_runtime.serve.inference import Engine
from modelcycle_runtime.serve.metrics import Metrics
from modelcycle_runtime.serve.monitoring import State
from modelcycle_runtime.serve.peers import HANDED_OVER

_JSON = "application/json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    max_body_bytes: int
    max_requests_per_connection: int


@dataclass(slots=True)
class Api:
    """Handles requests, one call of :meth:`handle` for each."""

    engine: Engine
    desk: Desk
    metrics: Metrics
    state: State
    limits: Limits
    pool: ThreadPoolExecutor
    idle: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set while no request is in flight, from its headers to the last byte of its answer."""
    _in_flight: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self.idle.set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The response to any request at all: what goes wrong becomes a status and a message."""
        connection = request.protocol
        number = connection.begin() if isinstance(connection, Connection) else 1
        self._in_flight += 1
        self.idle.clear()
        try:
            status, body = await self._respond(request)
            response = web.Response(status=status, body=body, content_type=_JSON)
            last = number >= self.limits.max_requests_per_connection or self.state.draining
            if last or not request.content.is_eof():
                response.force_close()
            await self._send(request, response)
        finally:
            self._in_flight -= 1
            if not self._in_flight:
                self.idle.set()
            if isinstance(connection, Connection):
                connection.end()
        return response

    async def _send(self, request: web.BaseRequest, response: web.Response) -> None:
        """Sends the whole response: until then the request is in flight. A client that does not read is cut off."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await response.prepare(request)
                await response.write_eof()
        except (ConnectionError, TimeoutError) as error:
            log.info("%s did not take its answer: %s", request.remote, repr(error))
            request.protocol.force_close()

    async def _respond(self, request: web.BaseRequest) -> tuple[int, bytes]:
        try:
            return await self._route(request)
        except RequestError as error:
            return error.status, orjson.dumps({"error": str(error)})
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return 500, b'{"error":"the server failed; its log says why"}'

    async def _route(self, request: web.BaseRequest) -> tuple[int, bytes]:
        match request.path.strip("/").split("/"):
            case ["v2"]:
                return self._only(HTTPMethod.GET, request, {"name": "modelcycle", "version": "v2", "extensions": []})
            case ["v2", "health", "live"]:
                return self._only(HTTPMethod.GET, request, {"live": True})
            case ["v2", "health", "ready"]:
                return self._only(HTTPMethod.GET, request, self._ready())
            case ["v2", "models", name, *rest]:
                return await self._model(request, name, rest)
        raise RequestError(404, f"{request.path} is not served; /v2/models/{self.engine.name}/infer is")

    async def _model(self, request: web.BaseRequest, name: str, rest: list[str]) -> tuple[int, bytes]:
        if name != self.engine.name:
            raise RequestError(404, f"model {name!r} is not served here; {self.engine.name} is")
        if len(rest) > 1 and rest[0] == "versions":
            if rest[1] != self.engine.version:
                raise RequestError(404, f"version {rest[1]!r} is not served here; {self.engine.version} is")
            rest = rest[2:]
        match rest:
            case []:
                return self._only(HTTPMethod.GET, request, self._metadata())
            case ["ready"]:
                return self._only(HTTPMethod.GET, request, {"name": name, **self._ready()})
            case ["infer"]:
                return await self._infer(request)
            case ["feedback"]:
                return await self._feedback(request)
        raise RequestError(404, f"{request.path} is not served; infer, feedback and ready are")

    def _only(self, method: HTTPMethod, request: web.BaseRequest, record: dict[str, Any]) -> tuple[int, bytes]:
        if request.method != method:
            raise RequestError(405, f"{request.path} takes {method}, not {request.method}")
        return 200, orjson.dumps(record)

    def _ready(self) -> dict[str, bool]:
        if not self.state.ready:
            raise RequestError(503, self.state.reason)
        return {"ready": True}

    def _metadata(self) -> dict[str, Any]:
        return {
            "name": self.engine.name,
            "versions": [self.engine.version],
            "platform": "onnxruntime_onnx",
            "inputs": [tensors.describe(spec) for spec in self.engine.model.inputs],
            "outputs": [tensors.describe(spec) for spec in self.engine.model.outputs],
        }

    async def _infer(self, request: web.BaseRequest) -> tuple[int, bytes]:
        self._only(HTTPMethod.POST, request, {})
        code, started = 500, None
        try:
            body = await self._body(request)
            started = time.perf_counter()
            answer = await self.engine.answer(self.engine.parse(body), self.pool)
            code = 200
        except RequestError as error:
            code = error.status
            raise
        finally:
            self.metrics.request(code, None if started is None else time.perf_counter() - started)
        return code, answer

    async def _body(self, request: web.BaseRequest) -> bytes:
        limit = self.limits.max_body_bytes
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise RequestError(415, "Content-Encoding: send the body as it is")
        if "Inference-Header-Content-Length" in request.headers:
            raise RequestError(415, "binary tensors are not served; send the tensors' data as JSON")
        if (request.content_length or 0) > limit:
            raise RequestError(413, f"body: has {request.content_length} bytes, at most {limit} are taken")
        parts, size = [], 0
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                while chunk := await request.content.readany():
                    size += len(chunk)
                    if size > limit:
                        raise RequestError(413, f"body: has more than the {limit} bytes that are taken")
                    parts.append(chunk)
        except TimeoutError as error:
            raise RequestError(408, f"body: was not there within {REQUEST_SECONDS:.0f} s") from error
        except (HttpProcessingError, web.RequestPayloadError) as error:
            raise BadRequest(f"body: {error}") from error
        return b"".join(parts)

    async def _feedback(self, request: web.BaseRequest) -> tuple[int, bytes]:
        self._only(HTTPMethod.POST, request, {})
        body = await self._body(request)
        return feedback_answer(await self.desk.receive(body, handed_over=HANDED_OVER in request.headers))


def feedback_answer(fates: Sequence[Fate]) -> tuple[int, bytes]:
    """Status and body. 400 when every row is malformed, so that a client that looks at the status alone sees it."""
    outcomes = [fate.outcome for fate in fates]
    accepted = sum(outcome == Outcome.ACCEPTED for outcome in outcomes)
    status = 400 if fates and all(outcome == Outcome.MALFORMED for outcome in outcomes) else 200
    return status, orjson.dumps({"accepted": accepted, "results": outcomes, "reasons": [fate.reason for fate in fates]})
