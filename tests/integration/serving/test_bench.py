"""``modelcycle bench``: against our server, and against servers that stall, refuse and go away."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

import modelcycle_core
from modelcycle_client.cli import main
from tests.integration.serving.conftest import runtime_env
from tests.support.scripted import after, goes_away, says, scripted
from tests.support.typed_models import ONNX_TYPES, mirror
from tests.support.versions import write_version

GOOD = says(b"{}")


def _bench(capsys: pytest.CaptureFixture[str], url: str, *words: str) -> dict[str, Any]:
    assert main(["bench", url, "--json", "--quiet", "--warm-up", "0.1", *words]) == 0
    return dict(json.loads(capsys.readouterr().out))


def _body(tmp_path: Path) -> list[str]:
    path = tmp_path / "body"
    path.write_bytes(b"{}")
    return ["--body", str(path)]


@pytest.mark.parametrize(("scheme", "tensors"), [("http", "binary"), ("http", "json"), ("grpc", "binary")])
def test_requests_are_made_of_what_the_model_says(
    start: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], scheme: str, tensors: str
) -> None:
    """Of every datatype; our server closes a connection after ten of them."""
    with start(write_version(tmp_path, mirror(list(ONNX_TYPES))), maxRequestsPerConnection=10) as running:
        url = running.url.replace("http", scheme)
        words = ["--rate", "200", "--seconds", "1", "--connections", "2", "--rows", "3", "--tensors", tensors]
        (run,) = _bench(capsys, f"{url}/v2/models/hedge", *words)["runs"]
    assert run["failed"] == 0
    assert run["planned"] == run["answers"]["OK" if scheme == "grpc" else "200"]
    assert 130 < run["planned"] < 280
    assert run["reopened"] > 0


def test_the_same_seed_plans_the_same_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--rate", "300", "--seconds", "0.5", *_body(tmp_path)]
    with scripted(GOOD) as served:
        first, same, other = (
            _bench(capsys, f"{served.url}/x", *words, "--seed", seed)["runs"][0]["planned"] for seed in "112"
        )
    assert first == same
    assert first != other


def _load(url: str, **changes: Any) -> dict[str, Any]:
    """What the core found, whether its thread had a CPU or not."""
    settings: dict[str, Any] = {"connections": 1, "rate": 200.0, "warm_up": 0.1, "seconds": 1.0, "timeout": 10.0}
    found: dict[str, Any] = modelcycle_core.load(
        authority=urlsplit(url).netloc,
        grpc=False,
        path="/x",
        requests=[([], b"{}")],
        seed=1,
        progress=lambda _: None,
        **settings | changes,
    )
    return found


def test_a_stall_is_charged_with_all_that_it_held_up() -> None:
    """One stall of 300 ms in a second: of the requests, a third is planned within it, and waits for its end."""
    with scripted(*[GOOD] * 60, after(0.3, GOOD), GOOD) as served:
        found = _load(served.url)
    assert found["good"] == found["planned"]
    assert found["latency_us"]["max"] >= 300_000
    assert found["latency_us"]["p90"] >= 100_000


def test_what_is_not_answered_in_time() -> None:
    with scripted(after(60, GOOD)) as served:
        found = _load(served.url, rate=100.0, connections=2, timeout=0.2)
    assert found["failures"] == {"timeout": found["planned"]}
    assert found["latency_us"]["p50"] >= 200_000
    assert found["good_in_time"] == 0


@pytest.mark.parametrize(
    "changes", [{"connections": 0}, {"requests": []}, {"rate": 0.0}, {"rate": float("nan")}, {"seconds": -1.0}]
)
def test_what_is_no_load(changes: dict[str, Any]) -> None:
    words: dict[str, Any] = {"requests": [([], b"{}")], "connections": 1, "rate": 1.0, "seconds": 1.0, **changes}
    with pytest.raises(ValueError, match=r"there has to be one|seconds: "):
        modelcycle_core.load(
            authority="127.0.0.1:1", grpc=False, path="/", warm_up=0, timeout=1, seed=1, progress=print, **words
        )


@pytest.mark.parametrize(
    ("act", "answers", "failures"),
    [
        (says(b"{}", "503 Service Unavailable"), ["503"], []),
        (says(b"{}", close=True), ["200"], []),
        (goes_away, [], ["lost"]),
        (lambda connection: connection.sendall(b"SSH-2.0\r\n\r\n") is None, [], ["garbage"]),
    ],
)
def test_what_went_wrong_is_counted_by_its_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], act: Any, answers: list[str], failures: list[str]
) -> None:
    words = ["--rate", "100", "--seconds", "0.5", "--connections", "4", *_body(tmp_path)]
    with scripted(act) as served:
        (run,) = _bench(capsys, f"{served.url}/x", *words)["runs"]
    assert (list(run["answers"]), list(run["failures"])) == (answers, failures)
    assert run["planned"] == sum({**run["answers"], **run["failures"]}.values()) > 0


def test_a_kept_connection_that_has_ended_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server ends it where the second request comes, without a word."""
    words = ["--rate", "100", "--seconds", "0.5", "--connections", "1", *_body(tmp_path)]
    with scripted(*[GOOD, goes_away] * 200) as served:
        (run,) = _bench(capsys, f"{served.url}/x", *words)["runs"]
    assert run["answers"] == {"200": run["planned"]}
    assert run["resent"] == pytest.approx(run["planned"], abs=2)
    assert run["reopened"] == run["resent"]


def test_bodies_in_turns_with_headers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    words = ["--body", str(tmp_path / "a"), "--body", str(tmp_path / "b"), "--header", "X-Mine: 1", "--closed"]
    with scripted(GOOD) as served:
        _bench(capsys, f"{served.url}/x?y=z", "--connections", "1", "--seconds", "0.1", *words)
    first, second, third, *_ = served.requests
    assert first.startswith(b"POST /x?y=z HTTP/1.1\r\n")
    assert b"\r\nX-Mine: 1\r\n" in first
    assert [one[-1:] for one in (first, second, third)] == [b"a", b"b", b"a"]


def test_arrays_of_a_file_in_a_table(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "rows.npz", x=np.ones((4, 2), np.float32))
    words = ["--rate", "100,200", "--seconds", "0.5", "--warm-up", "0.1", "--input", str(tmp_path / "rows.npz")]
    assert main(["bench", f"{server.url}/v2/models/hedge", *words]) == 0
    shown = capsys.readouterr()
    assert [line.split()[0] for line in shown.out.splitlines()[:3]] == ["planned/s", "100", "200"]
    assert "100/s: " in shown.err


def test_the_greatest_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a closed loop by halving to a rate that was tried, or to none."""
    words = ["--find", "--p99", "2000", "--seconds", "0.3", "--connections", "1", *_body(tmp_path)]
    with scripted(after(0.02, GOOD)) as served:
        found = _bench(capsys, f"{served.url}/x", *words)
    closed_loop, *tried = found["runs"]
    assert closed_loop["mode"] == "closed"
    assert found["capacity"] in [None, 0, *(run["planned_rate"] for run in tried)]
    assert len(tried) >= 3


def test_it_can_be_interrupted(tmp_path: Path) -> None:
    with scripted(GOOD) as served:
        words = [f"{served.url}/x", "--rate", "50", "--seconds", "300", *_body(tmp_path)]
        # A shell that runs the tests in the background has them, and their children, ignore Ctrl-C.
        command = ["env", "--default-signal=INT", sys.executable, "-m", "modelcycle_client", "bench", *words]
        with subprocess.Popen(command, env=runtime_env(), stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline().startswith("50/s: ")
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
                assert "Traceback" not in process.stderr.read()
            finally:
                process.kill()


def test_a_server_that_is_not_there(unused_tcp_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", f"http://127.0.0.1:{unused_tcp_port}/x", "--closed", *_body(tmp_path)]) == 1
    assert "Connection refused" in capsys.readouterr().err
