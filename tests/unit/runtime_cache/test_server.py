"""The cache over HTTP, and the fetching that asks it: real sockets, a store on the disk."""

from __future__ import annotations

import hashlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from modelcycle_runtime.artifacts import ArtifactStore
from modelcycle_runtime.cache import server as cache_server
from modelcycle_runtime.cache.claims import Claims
from modelcycle_runtime.cache.metrics import Metrics
from modelcycle_runtime.cache.server import CacheServer
from modelcycle_runtime.cache.store import Store
from modelcycle_runtime.errors import ArtifactsUnavailable
from modelcycle_runtime.fetch.files import FetchRequest, VersionFile, fetch_all
from modelcycle_runtime.fetch.node_cache import NodeCache
from tests.unit.runtime_fetch.test_files import Body

CONTENT = b"weights" * 300_000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FILE = VersionFile("model/model.onnx", len(CONTENT), DIGEST)
PATH = f"/sha256/{DIGEST}?size={len(CONTENT)}"


class Mlflow(ArtifactStore):
    """Answers with ``content``, or is away. ``asked``: how often."""

    def __init__(self, content: bytes | None = CONTENT) -> None:
        self.content, self.asked = content, 0
        self._lock = threading.Lock()

    def read(self, uri: str, consume: Callable[[Any], Any]) -> Any:
        with self._lock:
            self.asked += 1
        if self.content is None:
            raise ArtifactsUnavailable("MLflow is away")
        return consume(Body(self.content, len(self.content)))


class Node:
    """A cache that runs, and pods beside it."""

    def __init__(self, folder: Path, size: int = 1 << 30) -> None:
        self.folder, self.metrics, self.said = folder, Metrics(), list[str]()
        self.store = Store(folder / "cache", size, self.metrics.evicted.inc)
        self.metrics.watch(self.store)
        self.server = CacheServer(self.store, Claims(), self.metrics, 0)
        self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}"

    def fetch(self, pod: str, mlflow: Mlflow, url: str | None = None) -> bytes:
        """What a pod has in the end."""
        target = self.folder / pod
        request = FetchRequest("http://mlflow", "mlflow-artifacts:/m", "mlflow-artifacts:/r", target, (FILE,))
        fetch_all(request, mlflow, NodeCache(url or self.url, self.said.append), lambda _: None)
        return (target / FILE.path).read_bytes()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(f"127.0.0.1:{self.server.port}", timeout=10)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"modelcycle_model_cache_{name}", labels) or 0.0


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.server.close()


# --- pods ------------------------------------------------------------------------------------------------------------
def test_what_one_pod_fetched_the_next_one_has_without_mlflow(node: Node) -> None:
    assert node.fetch("first", Mlflow()) == CONTENT
    away = Mlflow(content=None)
    assert node.fetch("second", away) == CONTENT
    assert away.asked == 0
    assert node.counted("requests_total", result="hit") == 1
    assert node.counted("kept_total") == 1
    assert node.counted("sent_bytes_total") == len(CONTENT)
    assert node.said == []


def test_ten_pods_at_once_are_one_download(node: Node) -> None:
    mlflow = Mlflow()
    with ThreadPoolExecutor(10) as pods:
        found = list(pods.map(lambda number: node.fetch(f"pod-{number}", mlflow), range(10)))
    assert found == [CONTENT] * 10
    assert mlflow.asked == 1


def test_a_cache_that_is_away_costs_a_moment(node: Node) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        assert node.fetch("pod", Mlflow(), url) == CONTENT
    (said,) = node.said
    assert "not asked again: ConnectionRefusedError" in said


def test_a_file_that_rotted_is_found_out_and_replaced(node: Node) -> None:
    node.fetch("first", Mlflow())
    (node.folder / "cache" / DIGEST).write_bytes(b"x" * len(CONTENT))
    mlflow = Mlflow()
    assert node.fetch("second", mlflow) == CONTENT
    assert mlflow.asked == 1
    assert "SHA-256 is" in node.said[0]


def test_a_file_that_was_cut_short_is_found_out(node: Node) -> None:
    node.fetch("first", Mlflow())
    (node.folder / "cache" / DIGEST).write_bytes(CONTENT[:-1])
    assert node.fetch("second", Mlflow()) == CONTENT


def test_a_cache_that_is_slow_is_left(node: Node, tmp_path: Path) -> None:
    node.fetch("first", Mlflow())
    now = [0.0]

    def clock() -> float:
        now[0] += 10.0
        return now[0]

    cache = NodeCache(node.url, node.said.append, clock=clock)
    request = FetchRequest("http://mlflow", "mlflow-artifacts:/m", "mlflow-artifacts:/r", tmp_path / "slow", (FILE,))
    mlflow = Mlflow()
    fetch_all(request, mlflow, cache, lambda _: None)
    assert mlflow.asked == 1
    assert "the body takes too long" in node.said[0]


def test_who_waits_in_vain_goes_to_mlflow(node: Node, tmp_path: Path) -> None:
    assert node.ask("GET", PATH)[0] == 404, "somebody has the claim, and never comes back"
    waited: list[float] = []
    cache = NodeCache(node.url, node.said.append, clock=lambda: sum(waited), sleep=waited.append)
    request = FetchRequest("http://mlflow", "mlflow-artifacts:/m", "mlflow-artifacts:/r", tmp_path / "pod", (FILE,))
    mlflow = Mlflow()
    fetch_all(request, mlflow, cache, lambda _: None)
    assert mlflow.asked == 1
    assert 14 < sum(waited) < 17


def test_what_the_cache_does_not_keep_is_there_all_the_same(tmp_path: Path) -> None:
    node = Node(tmp_path, size=1000)
    assert node.fetch("pod", Mlflow()) == CONTENT
    assert node.counted("refused_total", reason="room") == 1
    node.server.close()


# --- requests --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/", 404, id="nothing asked for"),
        pytest.param("GET", "/sha256/../../etc/passwd?size=1", 404, id="out of the folder"),
        pytest.param("GET", f"/sha256/{DIGEST.upper()}?size=1", 404, id="upper case"),
        pytest.param("GET", f"/sha256/{DIGEST}", 400, id="no size"),
        pytest.param("GET", f"/sha256/{DIGEST}?size=-1", 400, id="a negative size"),
        pytest.param("GET", f"/sha256/{DIGEST}?size=%C2%B2", 400, id="a digit that is no digit"),
        pytest.param("PUT", f"/sha256/{DIGEST}?size=9", 411, id="a body of another size"),
        pytest.param("DELETE", PATH, 501, id="deleting"),
    ],
)
def test_other_requests_are_refused(node: Node, method: str, path: str, status: int) -> None:
    assert node.ask(method, path, b"1234")[0] == status
    assert node.store.files == 0


def test_poison_is_not_taken(node: Node) -> None:
    status, said = node.ask("PUT", PATH, b"x" * len(CONTENT))
    assert status == 409
    assert DIGEST.encode() in said
    assert node.counted("refused_total", reason="digest") == 1
    assert node.ask("GET", PATH)[0] == 404


def test_a_sender_that_goes_away_leaves_nothing_and_no_claim(node: Node) -> None:
    assert node.ask("GET", PATH)[0] == 404
    with socket.create_connection(("127.0.0.1", node.server.port)) as sender:
        sender.sendall(f"PUT {PATH} HTTP/1.1\r\nContent-Length: {len(CONTENT)}\r\n\r\nabc".encode())
        sender.shutdown(socket.SHUT_WR)
        assert b" 408 " in sender.recv(100)
    assert node.counted("refused_total", reason="broken") == 1
    assert node.ask("GET", PATH)[0] == 404, "the next one may bring it"
    assert node.ask("PUT", PATH, CONTENT)[0] == 201


def test_a_disk_that_fails_is_told(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("modelcycle_runtime.cache.store.os.fsync", full)
    status, said = node.ask("PUT", PATH, CONTENT)
    assert (status, said) == (507, b"can't be written: No space left on device\n")
    assert list((node.folder / "cache").iterdir()) == []


def test_too_many_clients_are_sent_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_server, "MOST_CLIENTS", 2)
    node = Node(tmp_path)
    idle = [socket.create_connection(("127.0.0.1", node.server.port)) for _ in range(2)]
    assert node.fetch("pod", Mlflow()) == CONTENT
    assert "not asked again" in node.said[0]
    for one in idle:
        one.close()
    node.server.close()
