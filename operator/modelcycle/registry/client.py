"""MLflow's REST API: one call, one typed answer, one error that says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from modelcycle.cluster.port import Fence
from modelcycle.errors import AlreadyExists, ModelcycleError, NotFound, Refused, Unavailable
from modelcycle.outside import HttpAnswer, HttpEndpoint, failure
from modelcycle.registry.answers import Answer, Page
from modelcycle.registry.port import Tags
from modelcycle.settings import MlflowEndpoint

API = "api/2.0/mlflow"
ARTIFACTS = "api/2.0/mlflow-artifacts/artifacts"
JSON_BYTES = 1 << 20

AnswerT = TypeVar("AnswerT", bound=Answer)
PageT = TypeVar("PageT", bound=Page)


class MlflowClient:
    """A client of one MLflow server: every method is one request, and those that change something ask ``fence``.

    An effect is several requests, and the lease may be over after the first of them.

    They raise ``NotFound`` (MLflow knows no such thing), ``AlreadyExists``, ``Refused`` (MLflow or a proxy says no),
    and ``Unavailable`` for everything after which it is unknown whether the request was carried out: no answer, 5xx,
    or an answer that is not MLflow's; ``Fenced`` when this replica may not write.
    """

    def __init__(self, endpoint: MlflowEndpoint, fence: Fence) -> None:
        self._fence = fence
        self._host = urlsplit(endpoint.url).netloc
        self._http = HttpEndpoint(endpoint, "MLflow", JSON_BYTES)

    async def close(self) -> None:
        await self._http.close()

    async def get(self, path: str, expected: type[AnswerT], **params: str) -> AnswerT:
        return self._understood(await self._http.request("GET", f"{API}/{path}", params=params), expected)

    async def post(self, path: str, body: Mapping[str, Any], expected: type[AnswerT]) -> AnswerT:
        check = self._fence.check if is_write(path) else None
        return self._understood(
            await self._http.request("POST", f"{API}/{path}", body=body, may_be_sent=check), expected
        )

    async def pages(self, path: str, body: Mapping[str, Any], expected: type[PageT]) -> AsyncIterator[PageT]:
        """All that a search finds, a request for each page."""
        token = ""
        while True:
            page = await self.post(path, {**body, "page_token": token} if token else body, expected)
            yield page
            token = page.next_page_token
            if not token:
                return

    async def delete(self, path: str, body: Mapping[str, Any], expected: type[AnswerT]) -> AnswerT:
        check = self._fence.check
        answer = await self._http.request("DELETE", f"{API}/{path}", body=body, may_be_sent=check)
        return self._understood(answer, expected)

    async def list_artifacts(self, path: str, expected: type[AnswerT]) -> AnswerT:
        """Files and folders right below a path of the artifact store; an absent folder is an empty listing."""
        return self._understood(await self._http.request("GET", ARTIFACTS, params={"path": path}), expected)

    def download(
        self, path: str, *, never: frozenset[str] = frozenset()
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The content of a path of the artifact store, as it comes. ``never``: content types that it can't have."""
        return self._http.download(f"{ARTIFACTS}/{quote(path)}", never=never)

    def _understood(self, answer: HttpAnswer, expected: type[AnswerT]) -> AnswerT:
        payload = answer.json
        if answer.status != 200:
            raise self._error(answer, payload)
        parsed = expected.parsed(payload)
        if parsed is None:
            raise Unavailable(f"{answer.asked}: not an answer of MLflow: {answer.excerpt}; check the endpoint's url")
        return parsed

    def _error(self, answer: HttpAnswer, payload: object) -> ModelcycleError:
        said = payload if isinstance(payload, dict) else {}
        code, message = said.get("error_code"), str(said.get("message", "")) or None
        if code == "RESOURCE_DOES_NOT_EXIST":
            return NotFound(str(failure(answer, message)))
        if code == "RESOURCE_ALREADY_EXISTS":
            return AlreadyExists(str(failure(answer, message)))
        if answer.status == 403 and b"Invalid Host header" in answer.body:
            return Refused(
                f"{answer.asked}: 403: the server's --allowed-hosts lacks {self._host!r}; "
                "start mlflow server with every name by which it is called"
            )
        return failure(answer, message)


def is_write(path: str) -> bool:
    """Whether a POST there changes something: MLflow takes searches as POSTs, too."""
    return not path.endswith("/search")


def literal(text: str) -> str:
    """``text`` as a string of MLflow's filter language, which has no way to escape its quotes."""
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise Refused(f"MLflow can't search for a text with both kinds of quotes: {text[:80]!r}")


def tag_list(tags: Tags) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags]
