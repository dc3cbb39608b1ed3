"""Requests that share a run of the model: each gets what it would get alone, and none waits for another's trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.support.typed_models import mirror, mixing, slow
from tests.support.versions import write_version

INFER = "/v2/models/hedge/infer"
RUNS = 'modelcycle_batch_rows_count{version="7"}'


def _body(name: str, rows: list[list[float]], **change: Any) -> dict[str, Any]:
    tensor = {"name": name, "shape": [len(rows), len(rows[0])], "datatype": "FP32", "data": rows}
    return {"inputs": [tensor], **change}


async def _infer(client: aiohttp.ClientSession, body: dict[str, Any]) -> list[float]:
    async with client.post(INFER, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return list((await answer.json())["outputs"][0]["data"])


async def test_each_gets_its_own_answer(start: Callable[..., Any], version: Path) -> None:
    rng = np.random.default_rng(1)
    sent = [rng.normal(size=(rng.integers(1, 5), 2)).astype(np.float32) for _ in range(400)]
    with start(version) as running:
        async with aiohttp.ClientSession(running.url) as client:
            answers = await asyncio.gather(*(_infer(client, _body("x", rows.tolist())) for rows in sent))
        metrics = await running.metrics()
    for rows, answer in zip(sent, answers, strict=True):
        np.testing.assert_allclose(answer, rows @ [1, -2] + 0.5, rtol=1e-4, atol=1e-5)
    assert metrics[RUNS] < len(sent), "none shared a run"
    assert metrics['modelcycle_batch_rows_sum{version="7"}'] == sum(map(len, sent))


async def test_other_sizes_do_not_share_a_run(start: Callable[..., Any], tmp_path: Path) -> None:
    widths = [1 + i % 3 for i in range(60)]
    with start(write_version(tmp_path, mirror(["FP32"]))) as running:
        async with aiohttp.ClientSession(running.url) as client:
            bodies = [_body("in_fp32", [[float(i)] * width]) for i, width in enumerate(widths)]
            answers = await asyncio.gather(*(_infer(client, body) for body in bodies))
    assert answers == [[float(i)] * width for i, width in enumerate(widths)]


async def test_a_model_that_mixes_its_rows_sees_one_request_at_a_time(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    with start(write_version(tmp_path, mixing())) as running:
        async with aiohttp.ClientSession(running.url) as client:
            bodies = [_body("x", [[float(i), 0.0], [float(i) + 2, 0.0]]) for i in range(50)]
            answers = await asyncio.gather(*(_infer(client, body) for body in bodies))
        log = running.log.read_text()
    assert answers == [[-1.0, 0.0, 1.0, 0.0]] * 50
    assert "each request is run alone" in log


@pytest.fixture
def slow_version(tmp_path: Path) -> Path:
    return write_version(tmp_path, slow())


def _slow_body(**change: Any) -> dict[str, Any]:
    return _body("x", [[1.0]], **change)


async def test_who_is_late_hears_so_in_time(start: Callable[..., Any], slow_version: Path) -> None:
    """With the model busy: other connections, probes and those with time are served meanwhile."""
    with start(slow_version) as running:
        async with aiohttp.ClientSession(running.url) as client:
            busy = [asyncio.create_task(_infer(client, _slow_body())) for _ in range(8)]
            await asyncio.sleep(0.3)
            impatient = _slow_body(parameters={"timeout": 1000})
            async with client.post(INFER, json=impatient) as late, client.get("/v2/health/live") as alive:
                assert (late.status, alive.status) == (504, 200)
                assert "parameters.timeout" in (await late.json())["error"]
            await asyncio.gather(*busy)
        metrics = await running.metrics()
    assert metrics['modelcycle_requests_total{code="504",version="7"}'] == 1


async def test_who_gives_up_is_not_run(start: Callable[..., Any], slow_version: Path) -> None:
    with start(slow_version) as running:
        async with aiohttp.ClientSession(running.url) as client:
            first = asyncio.create_task(_infer(client, _slow_body()))
            others = [asyncio.create_task(_infer(client, _slow_body())) for _ in range(6)]
            while (await running.metrics()).get(RUNS, 0) < 1:  # noqa: ASYNC110 (it sets no event)
                await asyncio.sleep(0.01)
            for one in others:
                one.cancel()
            assert await first == [1.0]
            await asyncio.gather(*others, return_exceptions=True)
            await _infer(client, _slow_body())
        after = await running.metrics()
    # The first, the last, and whoever's turn it was when the others gave up.
    assert after[RUNS] <= 4
    assert after['modelcycle_rejected_total{reason="cancelled",version="7"}'] >= 4


async def test_a_slow_model_is_run_in_the_way_that_answers_most(start: Callable[..., Any], slow_version: Path) -> None:
    with start(slow_version, cpus=2) as running:
        async with aiohttp.ClientSession(running.url) as client:
            answers = await asyncio.gather(*(_infer(client, _slow_body()) for _ in range(8)))
        log = await asyncio.to_thread(running.log.read_text)
    assert answers == [[1.0]] * 8
    for arrangement in ("2 at once with 1 threads each", "1 at once with 2 threads each"):
        assert f"{arrangement}, batches of 1 rows: " in log
