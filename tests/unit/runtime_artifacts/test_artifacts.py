from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from modelcycle_runtime.artifacts import ArtifactStore, Patience, path_of
from modelcycle_runtime.errors import ArtifactMissing, ArtifactRefused, ArtifactsUnavailable

URI = "mlflow-artifacts:/1/models/m/artifacts/model.onnx"


@dataclass
class Script:
    """Answers of a server, one after the other, the last one for ever: status and body, or None to hang up."""

    url: str = ""
    answers: list[tuple[int, bytes] | None] = field(default_factory=lambda: [(200, b"content")])
    requests: list[tuple[str, str, str | None, bytes]] = field(default_factory=list)

    def next(self) -> tuple[int, bytes] | None:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.fixture
def server() -> Iterator[Script]:
    script = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            script.requests.append((self.command, self.path, self.headers.get("Authorization"), content))
            answer = script.next()
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        do_PUT = do_GET

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        script.url = f"http://127.0.0.1:{running.server_address[1]}"
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield script
        running.shutdown()


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def _store(server: Script, clock: Clock | None = None) -> ArtifactStore:
    clock = clock or Clock()
    return ArtifactStore(server.url, Patience(600.0, clock.time, clock.sleep))


def test_a_file_is_read_from_below_the_artifact_root(server: Script) -> None:
    assert _store(server).read(URI, lambda response: response.read()) == b"content"
    assert server.requests[0][:2] == (
        "GET",
        "/api/2.0/mlflow-artifacts/artifacts/1/models/m/artifacts/model.onnx",
    )


@pytest.mark.parametrize(
    "bad", [None, (500, b""), (503, b"starting"), (429, b"")], ids=["hangs up", "500", "503", "429"]
)
def test_what_is_worth_it_is_tried_again(server: Script, bad: tuple[int, bytes] | None) -> None:
    server.answers = [bad, bad, (200, b"content")]
    clock = Clock()
    assert _store(server, clock).read(URI, lambda response: response.read()) == b"content"
    assert len(clock.pauses) == 2


def test_the_pause_grows_and_ends_after_ten_minutes(server: Script) -> None:
    server.answers = [(503, b"starting")]
    clock = Clock()
    with pytest.raises(ArtifactsUnavailable, match="no answer within 600 s: HTTP 503 starting"):
        _store(server, clock).read(URI, lambda response: response.read())
    assert clock.pauses[0] < 0.5
    assert max(clock.pauses) < 23
    assert 550 < clock.now <= 600


def test_nobody_listening_is_waited_for(unused_tcp_port: int) -> None:
    clock = Clock()
    store = ArtifactStore(f"http://127.0.0.1:{unused_tcp_port}", Patience(5.0, clock.time, clock.sleep))
    with pytest.raises(ArtifactsUnavailable, match="refused"):
        store.write(URI, b"")


def test_a_file_that_is_missing_is_missing_at_once(server: Script) -> None:
    server.answers = [(404, b"")]
    with pytest.raises(ArtifactMissing, match=r"model\.onnx: not there .*deleted"):
        _store(server).read(URI, lambda response: response.read())
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [401, 403])
def test_a_pod_that_is_not_let_in_blames_no_artifact_and_says_where_to_look(server: Script, code: int) -> None:
    server.answers = [(code, b"Invalid Host header")]
    with pytest.raises(ArtifactsUnavailable, match=rf"HTTP {code}; check the user .* --allowed-hosts: Invalid Host"):
        _store(server).read(URI, lambda response: response.read())
    assert len(server.requests) == 1


def test_a_refusal_is_one_at_once(server: Script) -> None:
    server.answers = [(400, b"no such path")]
    with pytest.raises(ArtifactRefused, match=r"HTTP 400: no such path"):
        _store(server).read(URI, lambda response: response.read())
    assert len(server.requests) == 1


def test_content_is_put(server: Script) -> None:
    _store(server).write("mlflow-artifacts:/1/r/artifacts/modelcycle/gate 1.json", b"{}")
    assert server.requests == [
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/1/r/artifacts/modelcycle/gate%201.json", None, b"{}")
    ]


def test_the_root_of_a_run_is_asked_for(server: Script) -> None:
    server.answers = [(200, b'{"run": {"info": {"artifact_uri": "mlflow-artifacts:/1/r/artifacts"}}}')]
    assert _store(server).run_root("r") == "mlflow-artifacts:/1/r/artifacts"
    assert server.requests[0][1] == "/api/2.0/mlflow/runs/get?run_id=r"


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]"])
def test_what_is_no_mlflow_is_said_to_be_none(server: Script, body: bytes) -> None:
    server.answers = [(200, body)]
    with pytest.raises(ArtifactRefused, match="no MLflow server"):
        _store(server).run_root("r")


@pytest.mark.parametrize(
    ("variables", "header"),
    [
        pytest.param({}, None, id="nobody"),
        pytest.param({"USERNAME": "u", "PASSWORD": "p"}, "Basic dTpw", id="a user"),
        pytest.param({"TOKEN": "t"}, "Bearer t", id="a token"),
        pytest.param({"USERNAME": "u", "PASSWORD": "p", "TOKEN": "t"}, "Basic dTpw", id="a user goes before a token"),
    ],
)
def test_who_we_are(
    server: Script, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], header: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", value)
    _store(server).read(URI, lambda response: response.read())
    assert server.requests[0][2] == header


@pytest.mark.parametrize("uri", ["s3://bucket/x", "file:///mlruns", "mlflow-artifacts://host/x", "/x"])
def test_other_addresses_are_refused_with_what_to_do(uri: str) -> None:
    with pytest.raises(ArtifactRefused, match="--serve-artifacts"):
        path_of(uri)


def test_an_address_that_leads_out_is_refused() -> None:
    with pytest.raises(ArtifactRefused, match="leads out"):
        path_of("mlflow-artifacts:/1/../../etc/passwd")


def test_a_tracking_uri_is_http() -> None:
    with pytest.raises(ArtifactRefused, match="http:// or https://"):
        ArtifactStore("file:///mlruns")
