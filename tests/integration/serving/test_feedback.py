"""Tokens and labels, on one replica and on two."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from modelcycle_runtime.serve.tokens import Signer
from tests.support.processes import free_port

ROWS = "modelcycle_feedback_rows_total"
EVENT = "2008-09-15T00:00:00Z"


async def _token(url: str, event_time: str = EVENT) -> str:
    body = {
        "inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 1]}],
        "parameters": {"event_time": event_time},
    }
    async with aiohttp.ClientSession() as client, client.post(f"{url}/v2/models/hedge/infer", json=body) as answer:
        return str((await answer.json())["parameters"]["feedback_token"][0])


async def _feedback(url: str, *rows: Any, status: int = 200) -> dict[str, Any]:
    path = f"{url}/v2/models/hedge/feedback"
    async with aiohttp.ClientSession() as client, client.post(path, json={"feedback": rows}) as answer:
        assert answer.status == status, await answer.text()
        return dict(await answer.json())


@pytest.fixture
def replicas(start: Callable[..., Any], version: Path, key_file: Path) -> Iterator[list[Any]]:
    ports = [free_port(), free_port()]
    peers = ",".join(f"127.0.0.1:{port}" for port in ports)
    first, second = (start(version, port=port, peers=peers, feedbackKeyFile=str(key_file)) for port in ports)
    with first as one, second as other:
        yield [one, other]


@pytest.fixture
def signer(key_file: Path) -> Signer:
    return Signer(key_file.read_bytes())


async def test_a_label_is_scored(start: Callable[..., Any], version: Path, key_file: Path) -> None:
    with start(version, feedbackKeyFile=str(key_file)) as running:
        before = await running.metrics()
        assert before[f'{ROWS}{{version="7"}}'] == 0
        assert "modelcycle_feedback_watermark_seconds" not in before
        token = await _token(running.url)
        answer = await _feedback(running.url, {"token": token, "label": 0.5})
        assert answer == {"accepted": 1, "results": ["accepted"], "reasons": [None]}
        after = await running.metrics()
    assert after[f'{ROWS}{{version="7"}}'] == 1
    assert after['modelcycle_feedback_loss_positive_total{version="7"}'] == pytest.approx(1.0)
    assert after['modelcycle_feedback_loss_squared_total{version="7"}'] == pytest.approx(1.0)
    assert after["modelcycle_feedback_watermark_seconds"] == 1221436800


async def test_each_row_has_its_own_fate(
    start: Callable[..., Any], version: Path, key_file: Path, signer: Signer
) -> None:
    (old,) = signer.sign(3, [0], [1.0])
    (forged,) = Signer(b"somebody else's key").sign(7, [0], [1.0])
    with start(version, feedbackKeyFile=str(key_file)) as running:
        token, other = [await _token(running.url) for _ in range(2)]
        sent = [
            {"token": token, "label": 1},
            {"token": token, "label": 1},
            {"token": old, "label": 3.0},
            {"token": forged, "label": 1},
            {"token": other, "label": math.nan},
            {"token": "x", "label": 1},
            7,
        ]
        answer = await _feedback(running.url, *sent)
        metrics = await running.metrics()
    assert answer["accepted"] == 3
    assert answer["results"] == ["accepted", "duplicate", "accepted", "forged", "accepted", "malformed", "malformed"]
    assert [bool(reason) for reason in answer["reasons"]] == [False, True, False, True, False, True, True]
    assert metrics[f'{ROWS}{{version="3"}}'] == 1
    assert metrics['modelcycle_feedback_loss_positive_total{version="3"}'] == 4
    assert metrics['modelcycle_feedback_nonfinite_total{version="7"}'] == 1
    rejected = {r: metrics[f'modelcycle_feedback_rejected_total{{reason="{r}"}}'] for r in ("duplicate", "forged")}
    assert rejected == {"duplicate": 1, "forged": 1}


async def test_feedback_of_which_nothing_can_be_read_is_refused(server: Any) -> None:
    tokens = [await _token(server.url)]
    assert await _feedback(server.url, {"token": tokens, "label": 1}, 7, status=400) == {
        "accepted": 0,
        "results": ["malformed", "malformed"],
        "reasons": ["token must be a text, is a list", 'must be {"token": text, "label": number}, is a number'],
    }


async def test_a_label_may_come_after_a_restart(start: Callable[..., Any], version: Path, key_file: Path) -> None:
    with start(version, feedbackKeyFile=str(key_file)) as running:
        token = await _token(running.url)
    with start(version, version="8", feedbackKeyFile=str(key_file)) as running:
        assert (await _feedback(running.url, {"token": token, "label": 1}))["results"] == ["accepted"]
        metrics = await running.metrics()
    assert (metrics[f'{ROWS}{{version="7"}}'], metrics[f'{ROWS}{{version="8"}}']) == (1, 0)


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"feedback": {}}', b"[" * 100_000])
async def test_what_is_no_feedback_is_refused(server: Any, body: bytes) -> None:
    path = f"{server.url}/v2/models/hedge/feedback"
    async with aiohttp.ClientSession() as client, client.post(path, data=body) as answer:
        assert answer.status in {400, 413}


async def test_a_duplicate_is_seen_wherever_it_arrives(replicas: list[Any]) -> None:
    tokens = [await _token(replicas[i % 2].url) for i in range(20)]
    rows = [{"token": token, "label": 1} for token in tokens]
    first = await _feedback(replicas[0].url, *rows)
    second = await _feedback(replicas[1].url, *rows)
    assert (first["accepted"], first["results"]) == (20, ["accepted"] * 20)
    assert (second["accepted"], second["results"]) == (0, ["duplicate"] * 20)
    counted = [(await replica.metrics())[f'{ROWS}{{version="7"}}'] for replica in replicas]
    assert sum(counted) == 20
    assert min(counted) > 0


async def test_a_peer_that_is_gone_costs_no_label(
    start: Callable[..., Any], version: Path, key_file: Path, unused_tcp_port: int
) -> None:
    port = free_port()
    peers = f"127.0.0.1:{port},127.0.0.1:{unused_tcp_port}"
    with start(version, port=port, peers=peers, feedbackKeyFile=str(key_file)) as running:
        rows = [{"token": await _token(running.url), "label": 1} for _ in range(10)]
        assert (await _feedback(running.url, *rows))["accepted"] == 10
        assert (await running.metrics())[f'{ROWS}{{version="7"}}'] == 10
