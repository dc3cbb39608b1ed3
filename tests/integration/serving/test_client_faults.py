"""What the clients make of servers and networks that fail, and how often they try."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelcycle_client import (
    BrokenOff,
    Busy,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    GarbledAnswer,
    Retries,
    ServerFault,
)
from tests.support.certificates import self_signed, server_context
from tests.support.clients import either
from tests.support.scripted import Act, after, goes_away, says, scripted, sends

ROWS = {"x": np.ones((1, 2), np.float32)}
GOOD = says(
    b'{"model_name":"hedge","model_version":"7","outputs":[{"name":"y","datatype":"FP32","shape":[1],"data":[2]}]}'
)
BUSY = says(b'{"error":"1024 requests wait"}', "503 Service Unavailable", headers=["Retry-After: 0"])
QUICK = Retries(attempts=3, pause=0.01)
ACCEPTED = says(b'{"accepted":1,"results":["accepted"],"reasons":[null]}')
DUPLICATE = says(b'{"accepted":0,"results":["duplicate"],"reasons":["a label came with this token before"]}')


@pytest.fixture(params=["threads", "asyncio"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(
    ("acts", "sent"),
    [
        pytest.param([BUSY, BUSY, GOOD], 3, id="full, and then not"),
        pytest.param([goes_away, GOOD], 2, id="gone without an answer"),
        pytest.param([goes_away, goes_away, GOOD], 3, id="gone twice"),
        pytest.param([goes_away, BUSY, GOOD], 3, id="gone, then full"),
    ],
)
async def test_sent_again_until_it_is_answered(kind: str, acts: list[Act], sent: int) -> None:
    with scripted(*acts) as served:
        async with either(kind, served.url, retries=QUICK) as client:
            assert (await client.call("infer", ROWS))["y"].tolist() == [2]
    assert len(served.requests) == sent


@pytest.mark.parametrize(
    ("act", "error", "sent"),
    [
        pytest.param(BUSY, Busy, 3, id="full all the time"),
        pytest.param(says(b"", "503 Service Unavailable"), Busy, 1, id="a proxy that does not say when"),
        pytest.param(goes_away, ConnectionLost, 3, id="gone all the time"),
        pytest.param(says(b'{"error":"x"}', "500 Internal Server Error"), ServerFault, 1, id="the model failed"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"), BrokenOff, 1, id="half an answer"),
        pytest.param(sends(b"SSH-2.0-OpenSSH_9\r\n"), GarbledAnswer, 1, id="another protocol"),
        pytest.param(says(b"<html>"), GarbledAnswer, 1, id="a page"),
        pytest.param(says(b"{}", headers=["Inference-Header-Content-Length: 99"]), GarbledAnswer, 1, id="lengths"),
        pytest.param(says(b"moved", "302 Found", headers=["Location: /x"]), ServerFault, 1, id="moved"),
    ],
)
async def test_what_is_raised(kind: str, act: Act, error: type[Exception], sent: int) -> None:
    with scripted(act) as served:
        async with either(kind, served.url, retries=QUICK) as client:
            with pytest.raises(error) as caught:
                await client.call("infer", ROWS)
    assert type(caught.value) is error
    assert len(served.requests) == sent


async def test_nobody_listens(kind: str, unused_tcp_port: int) -> None:
    async with either(kind, f"http://127.0.0.1:{unused_tcp_port}", retries=QUICK) as client:
        with pytest.raises(ConnectFailed):
            await client.call("infer", ROWS)


async def test_a_slow_server_costs_no_more_than_the_timeout(kind: str) -> None:
    with scripted(after(60, GOOD)) as served:
        async with either(kind, served.url, retries=QUICK) as client:
            with pytest.raises(DeadlineExceeded) as caught:
                await client.call("infer", ROWS, timeout=0.2)
    assert isinstance(caught.value, TimeoutError)
    assert len(served.requests) == 1


async def test_no_attempt_begins_for_which_no_time_is_left(kind: str) -> None:
    late = says(b'{"error":"full"}', "503 Service Unavailable", headers=["Retry-After: 60"])
    with scripted(late) as served:
        async with either(kind, served.url, timeout=5) as client:
            with pytest.raises(Busy) as caught:
                await client.call("infer", ROWS)
    assert caught.value.retry_after == 60
    assert len(served.requests) == 1


async def test_each_attempt_tells_the_server_what_is_left(kind: str) -> None:
    with scripted(after(0.05, goes_away), GOOD) as served:
        async with either(kind, served.url, timeout=30) as client:
            await client.call("infer", ROWS)
    first, second = (_timeout(request) for request in served.requests)
    assert second <= first - 50_000
    assert first <= 30_000_000


def _timeout(request: bytes) -> int:
    (length,) = re.findall(rb"inference-header-content-length: (\d+)", request.lower())
    body = request.partition(b"\r\n\r\n")[2]
    return int(json.loads(body[: int(length)])["parameters"]["timeout"])


async def test_a_kept_connection_is_used_again_until_the_server_ends_it(kind: str) -> None:
    closing = says(GOOD_BODY, close=True)
    with scripted(GOOD, GOOD, closing, GOOD, GOOD) as served:
        async with either(kind, served.url) as client:
            for _ in range(5):
                await client.call("infer", ROWS)
    assert served.connections == [0, 0, 0, 1, 1]


GOOD_BODY = b'{"model_name":"hedge","model_version":"7","outputs":[]}'


async def test_a_token_that_was_counted_without_an_answer_is_no_replay(kind: str) -> None:
    """The server counted the label, and its answer was lost: sent again, it is a duplicate of its own."""
    with scripted(goes_away, DUPLICATE) as served:
        async with either(kind, served.url, retries=QUICK) as client:
            feedback = await client.call("feedback", [("token", 1.0)])
    assert (feedback.accepted, feedback.resent, feedback.rows[0].result) == (0, True, "duplicate")
    with scripted(BUSY, ACCEPTED) as served:
        async with either(kind, served.url, retries=QUICK) as client:
            assert (await client.call("feedback", [("token", 1.0)])).resent is False


async def test_headers_of_the_caller(kind: str) -> None:
    with scripted(GOOD) as served:
        async with either(kind, served.url, headers={"Authorization": "Bearer x"}) as client:
            await client.call("infer", ROWS)
    assert b"Authorization: Bearer x\r\n" in served.requests[0]


async def test_a_server_that_is_not_ready(kind: str) -> None:
    for act, expected in ((says(b"{}"), True), (BUSY, False), (goes_away, False)):
        with scripted(act) as served:
            async with either(kind, served.url) as client:
                assert await client.call("ready") is expected
            # aiohttp asks again by itself where a GET got no answer.
            assert len(served.requests) <= 2


async def test_a_server_behind_tls(kind: str, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    with scripted(GOOD, tls=server_context(certificate)) as served:
        async with either(kind, served.url, tls=ssl.create_default_context(cafile=certificate)) as client:
            assert (await client.call("infer", ROWS))["y"].tolist() == [2]
        async with either(kind, served.url, retries=QUICK) as client:
            with pytest.raises(ConnectFailed, match=r"(?i)certificate"):
                await client.call("infer", ROWS)
    assert len(served.requests) == 1


async def test_an_odd_address_is_refused_at_once(kind: str) -> None:
    for url in ("h:8080", "ftp://h", "http://h/?a=b"):
        with pytest.raises(ValueError, match="url: must be"):
            async with either(kind, url):
                pass


def test_types_of_the_tree() -> None:
    tree: list[tuple[type[Any], type[Any]]] = [(BrokenOff, ConnectionLost), (DeadlineExceeded, TimeoutError)]
    assert all(issubclass(kind, parent) for kind, parent in tree)
