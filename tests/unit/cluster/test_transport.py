"""The HTTP side of the cluster adapter, against a server that misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from modelcycle.cluster import transport as transport_module
from modelcycle.cluster.bucket import TokenBucket
from modelcycle.cluster.credentials import Credentials, CredentialSource
from modelcycle.cluster.kinds import JOB, POD
from modelcycle.cluster.kube import KubeCluster
from modelcycle.cluster.transport import Transport, error_of
from modelcycle.errors import (
    AlreadyExists,
    Conflict,
    Expired,
    Fenced,
    ModelcycleError,
    NotFound,
    Refused,
    Terminating,
    Unavailable,
    Unusable,
)

Answer = Callable[[web.Request], web.Response]


def status(code: int, reason: str, message: str = "no", **more: Any) -> str:
    return json.dumps({"kind": "Status", "code": code, "reason": reason, "message": message} | more)


# --- errors ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "text", "type_"),
    [
        pytest.param(400, status(400, "BadRequest"), Refused, id="bad request"),
        pytest.param(401, status(401, "Unauthorized"), Unavailable, id="token not accepted"),
        pytest.param(403, status(403, "Forbidden", "exceeded quota"), Refused, id="forbidden"),
        pytest.param(
            403,
            status(
                403,
                "Forbidden",
                details={"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]},
            ),
            Terminating,
            id="its namespace is being deleted",
        ),
        pytest.param(404, status(404, "NotFound"), NotFound, id="not found"),
        pytest.param(404, "404 page not found", NotFound, id="no such kind"),
        pytest.param(409, status(409, "AlreadyExists"), AlreadyExists, id="exists"),
        pytest.param(409, status(409, "Conflict"), Conflict, id="somebody else wrote first"),
        pytest.param(410, status(410, "Expired"), Unavailable, id="too old"),
        pytest.param(422, status(422, "Invalid", "spec.x: Invalid"), Refused, id="against the schema"),
        pytest.param(
            422,
            status(422, "Invalid", details={"causes": [{"field": "metadata.uid"}]}),
            Conflict,
            id="applied to the uid of a former life",
        ),
        pytest.param(429, status(429, "TooManyRequests"), Unavailable, id="too many requests"),
        pytest.param(500, "oops", Unavailable, id="internal error"),
        pytest.param(503, "<html>gateway</html>", Unavailable, id="a proxy's page"),
        pytest.param(503, "[1]", Unavailable, id="JSON, but no status"),
    ],
)
def test_error_of(code: int, text: str, type_: type[ModelcycleError]) -> None:
    error = error_of("apply Job shop/a", code, text, None)
    assert type(error) is type_ or (code == 410 and isinstance(error, type_))
    assert str(error).startswith("apply Job shop/a: ")


@pytest.mark.parametrize(
    ("header", "after"),
    [
        pytest.param("7", 7.0, id="seconds"),
        pytest.param(None, None, id="absent"),
        pytest.param("Wed, 21 Oct 2026 07:28:00 GMT", None, id="a date, which no API server sends"),
    ],
)
def test_retry_after(header: str | None, after: float | None) -> None:
    error = error_of("get", 429, status(429, "TooManyRequests"), header)
    assert isinstance(error, Unavailable)
    assert error.after == after


def test_messages_are_bounded() -> None:
    assert len(str(error_of("get", 500, "x" * 100_000, None))) < 2000


# --- requests --------------------------------------------------------------------------------------------------------
class Server:
    """Answers with ``answers`` one after the other, the last one again and again."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.bodies: list[str] = []
        self.answers: list[Answer] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        self.bodies.append(await request.text())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(request)


def answered(body: Any, code: int = 200, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda request: web.Response(text=text, status=code, headers=headers, content_type="application/json")


class Source(CredentialSource):
    """Gives a new token each time."""

    def __init__(self, server: Server) -> None:
        super().__init__(None)
        self._server = server
        self.loads = 0

    async def load(self) -> Credentials:
        self.loads += 1
        return Credentials(self._server.url, f"Bearer t{self.loads}")


class Fence:
    closed = False

    def check(self) -> None:
        if self.closed:
            raise Fenced("closed")


class World:
    def __init__(self, server: Server) -> None:
        self.server = server
        self.source = Source(server)
        self.transport = Transport(self.source)
        self.fence = Fence()
        self.written: list[tuple[str, str, str]] = []
        self.bucket = TokenBucket(1000.0, 1000)
        self.cluster = KubeCluster(self.transport, self.bucket, self.fence, self._wrote)

    def _wrote(self, verb: str, kind: str, result: str) -> None:
        self.written.append((verb, kind, result))

    def answer(self, *answers: Answer) -> None:
        self.server.answers = list(answers)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    server = Server()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    world = World(server)
    yield world
    await world.transport.close()
    await runner.cleanup()


A_JOB = {"metadata": {"namespace": "shop", "name": "a"}}


async def test_a_token_that_was_rotated_is_read_again(world: World) -> None:
    world.answer(answered(status(401, "Unauthorized"), 401), answered(A_JOB))
    assert await world.cluster.get(JOB, "shop", "a") == A_JOB
    assert [request.headers["Authorization"] for request in world.server.requests] == ["Bearer t1", "Bearer t2"]


async def test_a_token_that_is_not_accepted_is_not_tried_for_ever(world: World) -> None:
    world.answer(answered(status(401, "Unauthorized"), 401))
    with pytest.raises(Unavailable, match="does not accept our credentials"):
        await world.cluster.get(JOB, "shop", "a")
    assert len(world.server.requests) == 2


async def test_credentials_are_read_again_when_they_are_old(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.answer(answered(A_JOB))
    for _ in range(3):
        await world.cluster.get(JOB, "shop", "a")
    assert world.source.loads == 1
    monkeypatch.setattr(transport_module, "TOKEN_SECONDS", 0.0)
    await asyncio.sleep(0.001)
    await world.cluster.get(JOB, "shop", "a")
    assert world.source.loads == 2


async def test_many_requests_that_are_refused_at_once_read_the_token_once(world: World) -> None:
    def judge(request: web.Request) -> web.Response:
        accepted = request.headers["Authorization"] != "Bearer t1"
        return (answered(A_JOB) if accepted else answered(status(401, "Unauthorized"), 401))(request)

    world.answer(judge)
    await asyncio.gather(*(world.cluster.get(JOB, "shop", "a") for _ in range(10)))
    assert world.source.loads == 2


async def test_a_server_that_asks_to_wait_is_left_alone(world: World) -> None:
    world.answer(answered(status(429, "TooManyRequests"), 429, **{"Retry-After": "3"}))
    with pytest.raises(Unavailable) as error:
        await world.cluster.get(JOB, "shop", "a")
    assert error.value.after == 3.0
    assert world.bucket.reserve() == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize("body", ["<html>", "[1, 2]", '"text"'], ids=["a page", "a list", "a text"])
async def test_an_answer_that_is_no_object_is_malformed(world: World, body: str) -> None:
    world.answer(answered(body))
    with pytest.raises(Unavailable, match="get Job shop/a"):
        await world.cluster.get(JOB, "shop", "a")


async def test_nobody_there(world: World) -> None:
    world.server.url = "http://127.0.0.1:1"
    with pytest.raises(Unavailable, match="get Job shop/a: the API server does not answer"):
        await world.cluster.get(JOB, "shop", "a")


async def test_a_write_without_an_answer_in_time_is_unavailable(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport_module, "REQUEST_SECONDS", 0.05)

    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(0.5)
        return web.Response()

    monkeypatch.setattr(world.server, "handle", silent)
    runner = web.AppRunner(_application(silent))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    world.server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with pytest.raises(Unavailable, match="does not answer"):
        await world.cluster.create(JOB, A_JOB)
    assert world.written == [("create", "Job", "Unavailable")]
    await runner.cleanup()


def _application(handle: Any) -> web.Application:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    return application


async def test_the_fence_keeps_writes_from_being_started_and_lets_reads_through(world: World) -> None:
    world.answer(answered(A_JOB))
    world.fence.closed = True
    await world.cluster.get(JOB, "shop", "a")
    for write in (
        world.cluster.apply(JOB, A_JOB),
        world.cluster.create(JOB, A_JOB),
        world.cluster.replace(JOB, A_JOB),
        world.cluster.write_status(JOB, A_JOB),
        world.cluster.delete(JOB, "shop", "a", "u1"),
    ):
        with pytest.raises(Fenced):
            await write
    assert [request.method for request in world.server.requests] == ["GET"]


async def test_the_fence_is_asked_after_the_wait_for_a_token(world: World) -> None:
    world.answer(answered(A_JOB))
    cluster = KubeCluster(world.transport, TokenBucket(20.0, 1), world.fence, world._wrote)
    await cluster.create(JOB, A_JOB)
    waiting = asyncio.create_task(cluster.create(JOB, A_JOB))
    await asyncio.sleep(0.01)
    world.fence.closed = True
    with pytest.raises(Fenced):
        await waiting


@pytest.mark.parametrize("free", [pytest.param(True, id="one that is free again"), pytest.param(False, id="a new one")])
async def test_the_fence_is_asked_after_the_wait_for_a_connection(
    world: World, monkeypatch: pytest.MonkeyPatch, free: bool
) -> None:
    monkeypatch.setattr(transport_module, "CONNECTIONS", 1)
    answer = answered(A_JOB) if free else answered(A_JOB, Connection="close")

    def close(request: web.Request) -> web.Response:
        world.fence.closed = True
        return answer(request)

    world.answer(close)
    # The first request has the only connection while the second asks the fence for the first time.
    reading = asyncio.create_task(world.cluster.get(JOB, "shop", "a"))
    writing = asyncio.create_task(world.cluster.create(JOB, A_JOB))
    assert await reading == A_JOB
    with pytest.raises(Fenced):
        await writing
    assert [request.method for request in world.server.requests] == ["GET"]


@pytest.mark.parametrize(
    ("write", "line", "content_type"),
    [
        pytest.param(
            lambda cluster: cluster.apply(JOB, A_JOB),
            "PATCH /apis/batch/v1/namespaces/shop/jobs/a?fieldManager=modelcycle.dev/operator&force=true",
            "application/apply-patch+yaml",
            id="apply",
        ),
        pytest.param(
            lambda cluster: cluster.create(JOB, A_JOB),
            "POST /apis/batch/v1/namespaces/shop/jobs?fieldManager=modelcycle.dev/operator",
            "application/json",
            id="create",
        ),
        pytest.param(
            lambda cluster: cluster.write_status(JOB, A_JOB),
            "PUT /apis/batch/v1/namespaces/shop/jobs/a/status?fieldManager=modelcycle.dev/status",
            "application/json",
            id="status",
        ),
        pytest.param(
            lambda cluster: cluster.delete(JOB, "shop", "a", "u1"),
            "DELETE /apis/batch/v1/namespaces/shop/jobs/a",
            "application/json",
            id="delete",
        ),
    ],
)
async def test_requests(world: World, write: Callable[[KubeCluster], Any], line: str, content_type: str) -> None:
    world.answer(answered(A_JOB))
    await write(world.cluster)
    request = world.server.requests[0]
    assert f"{request.method} {request.rel_url.human_repr()}" == line
    assert request.content_type == content_type
    assert request.headers["User-Agent"] == "modelcycle"


async def test_a_deletion_names_the_uid(world: World) -> None:
    world.answer(answered({"kind": "Status", "status": "Success"}))
    assert await world.cluster.delete(JOB, "shop", "a", "u1") is None
    options = json.loads(world.server.bodies[0])
    assert options["preconditions"] == {"uid": "u1"}
    assert options["propagationPolicy"] == "Background"


def page(names: list[str], version: str, more: str = "") -> Answer:
    items = [{"metadata": {"namespace": "shop", "name": name}} for name in names]
    return answered({"metadata": {"resourceVersion": version, "continue": more}, "items": items})


async def test_a_list_goes_on_where_the_page_ends(world: World) -> None:
    world.answer(page(["a", "b"], "7", "next"), page(["c"], "7"))
    pages = [one async for one in world.cluster.pages(POD, "shop", "x=y")]
    assert [[item["metadata"]["name"] for item in one.items] for one in pages] == [["a", "b"], ["c"]]
    assert {one.resource_version for one in pages} == {"7"}
    queries = [dict(request.query) for request in world.server.requests]
    assert queries == [
        {"limit": "500", "labelSelector": "x=y"},
        {"limit": "500", "labelSelector": "x=y", "continue": "next"},
    ]


async def test_a_list_that_expires_half_way_says_so(world: World) -> None:
    world.answer(page(["a"], "7", "next"), answered(status(410, "Expired"), 410))
    pages = world.cluster.pages(POD)
    assert (await anext(pages)).items
    with pytest.raises(Expired):
        await anext(pages)


# --- credentials -----------------------------------------------------------------------------------------------------
async def test_outside_of_a_pod_it_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Unusable, match="give --kubeconfig or set MODELCYCLE_KUBECONFIG"):
        await CredentialSource(None).load()


async def test_the_users_own_context_is_never_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(KUBECONFIG)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / ".kube" / "config"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(Unusable):
        await CredentialSource(None).load()


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:8001/"}}]
users: [{name: a, user: {token: secret}}]
"""


async def test_a_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    credentials = await CredentialSource(path).load()
    assert (credentials.server, credentials.authorization) == ("http://127.0.0.1:8001", "Bearer secret")


@pytest.mark.parametrize("content", [None, "", "contexts: []"], ids=["absent", "empty", "without a context"])
async def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Unusable, match=r"Check the file .*kubeconfig"):
        await CredentialSource(path).load()
