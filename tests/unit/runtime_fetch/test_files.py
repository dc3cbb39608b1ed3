from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from modelcycle_runtime.artifacts import ArtifactStore, Patience
from modelcycle_runtime.errors import ArtifactRefused, ArtifactsUnavailable, DigestMismatch, Failure
from modelcycle_runtime.fetch.files import FetchRequest, VersionFile, address, fetch_all, parse_request
from modelcycle_runtime.fetch.node_cache import NodeCache

CONTENT = b"weights" * 1000
FILE = VersionFile("model/model.onnx", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
NO_CACHE = NodeCache(None, lambda _: None)


class Body(io.BytesIO):
    """A response whose headers announce ``announced`` bytes."""

    url = "http://mlflow/model.onnx"

    def __init__(self, content: bytes, announced: int) -> None:
        super().__init__(content)
        self.headers = Message()
        self.headers["Content-Length"] = str(announced)


@dataclass
class FakeStore(ArtifactStore):
    """Answers with ``bodies`` in turn, trying again as the real one does."""

    bodies: list[tuple[bytes, int]]
    asked: list[str] = field(default_factory=list)

    def read(self, uri: str, consume: Callable[[Any], Any]) -> Any:
        self.asked.append(uri)
        return Patience(10.0, lambda: 0.0, lambda _: None).attempt(uri, lambda: consume(Body(*self.bodies.pop(0))))


def _request(target: Path, *files: VersionFile) -> FetchRequest:
    return FetchRequest("http://mlflow", "mlflow-artifacts:/m", "mlflow-artifacts:/r", target, files or (FILE,))


def _fetch(target: Path, *bodies: tuple[bytes, int]) -> FakeStore:
    store = FakeStore(list(bodies))
    fetch_all(_request(target), store, NO_CACHE, lambda _: None)
    return store


def test_a_file_lands_where_it_belongs(tmp_path: Path) -> None:
    assert _fetch(tmp_path, (CONTENT, len(CONTENT))).asked == ["mlflow-artifacts:/m/model.onnx"]
    assert (tmp_path / "model/model.onnx").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["model.onnx"]


def test_a_file_that_is_there_and_right_is_kept(tmp_path: Path) -> None:
    _fetch(tmp_path, (CONTENT, len(CONTENT)))
    assert _fetch(tmp_path).asked == []


def test_a_file_that_is_there_and_wrong_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.onnx").write_bytes(b"x" * len(CONTENT))
    _fetch(tmp_path, (CONTENT, len(CONTENT)))
    assert (tmp_path / "model/model.onnx").read_bytes() == CONTENT


def test_a_body_that_breaks_off_is_fetched_again(tmp_path: Path) -> None:
    _fetch(tmp_path, (CONTENT[:100], len(CONTENT)), (CONTENT, len(CONTENT)))
    assert (tmp_path / "model/model.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"x" * len(CONTENT), "SHA-256 is .* registered was", id="other bytes"),
        pytest.param(CONTENT + b"x", "has more than 7000 bytes", id="longer"),
        pytest.param(CONTENT[:-1], "has 6999 bytes, registered were 7000", id="shorter"),
        pytest.param(b"", "has 0 bytes", id="empty"),
    ],
)
def test_a_file_that_was_changed_never_gets_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(DigestMismatch, match=said):
        _fetch(tmp_path, (content, len(content)))
    assert not (tmp_path / "model/model.onnx").exists()


def test_a_disk_that_can_not_be_written_is_no_network_trouble(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file where a folder should be")
    with pytest.raises(ArtifactsUnavailable, match="can't be written"):
        _fetch(tmp_path, (CONTENT, len(CONTENT)))


def test_the_last_line_says_how_much_came(tmp_path: Path) -> None:
    lines: list[str] = []
    fetch_all(_request(tmp_path), FakeStore([(CONTENT, len(CONTENT))]), NO_CACHE, lines.append)
    assert len(lines) == 1
    assert lines[0].startswith("1 of 1 files, 0.0 of 0.0 MiB")


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        ("model/model.onnx", "mlflow-artifacts:/m/model.onnx"),
        ("model/data/w.bin", "mlflow-artifacts:/m/data/w.bin"),
        ("modelcycle/baseline.json", "mlflow-artifacts:/r/modelcycle/baseline.json"),
    ],
)
def test_where_files_lie(path: str, uri: str) -> None:
    assert address(_request(Path("/t")), VersionFile(path, 1, "")) == uri


def _text(**change: Any) -> str:
    record = {
        "trackingUri": "http://mlflow",
        "modelRoot": "mlflow-artifacts:/m",
        "runRoot": "mlflow-artifacts:/r",
        "target": "/t",
        "files": [["model/model.onnx", 7000, FILE.sha256]],
    }
    return json.dumps({**record, **change})


def test_the_request_of_the_contract() -> None:
    assert parse_request(_text()) == _request(Path("/t"))
    assert parse_request(_text(cache="http://cache:8080")).cache == "http://cache:8080"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param(_text(files=None), id="no files"),
        pytest.param(_text(files=[["model/a", 1]]), id="no digest"),
        pytest.param(_text(target=None), id="no target"),
        *[
            pytest.param(_text(files=[[path, 1, ""]]), id=path)
            for path in ("model/../../etc/passwd", "/model/x", "model", "other/x", "modelcycle/../x")
        ],
    ],
)
def test_other_requests_are_refused(text: str) -> None:
    with pytest.raises(ArtifactRefused):
        parse_request(text)


def test_refusals_are_failures_that_the_operator_hears_of() -> None:
    assert issubclass(ArtifactRefused, Failure)
