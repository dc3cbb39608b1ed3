"""How a server starts, or does not, and how it ends."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from modelcycle_runtime.serve.providers import has_gpu
from tests.support.models import linear_model
from tests.support.processes import free_port
from tests.support.versions import linear_smoke, write_version

BODY = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 1]}]}


def _settings(folder: Path, **change: Any) -> dict[str, str]:
    record = {"modelDir": str(folder), "port": free_port(), "metricsPort": free_port(), **change}
    return {"MODELCYCLE_SERVE": json.dumps(record)}


def test_a_version_that_answers_otherwise_than_at_training_does_not_start(
    run_module: Callable[..., Any], tmp_path: Path
) -> None:
    folder = write_version(tmp_path / "version", smoke=linear_smoke(answer=-0.75))
    ended = run_module("serve", _settings(folder))
    assert ended.status == 65
    assert ended.message["class"] == "SmokeFailed"
    assert ended.message["message"].startswith("output y, row 1: expected -0.75, got -0.5, tolerance 0.0001")


@pytest.mark.parametrize(
    ("change", "status", "kind", "said"),
    [
        pytest.param({}, 66, "ModelUnusable", "does not exist", id="no files"),
        pytest.param({"loss": "Hinge"}, 1, "UserError", "loss: 'Hinge'", id="a setting that is wrong"),
        pytest.param({"feedbackKeyFile": "/no/key"}, 1, "UserError", "feedbackKeyFile", id="no key"),
    ],
)
def test_what_keeps_it_from_starting_is_told(
    run_module: Callable[..., Any], tmp_path: Path, change: dict[str, Any], status: int, kind: str, said: str
) -> None:
    ended = run_module("serve", _settings(tmp_path / "absent", **change))
    assert (ended.status, ended.message["class"]) == (status, kind)
    assert said in ended.message["message"]


@pytest.mark.skipif(has_gpu(), reason="here it is there")
def test_an_accelerator_that_is_not_there_is_not_done_without(run_module: Callable[..., Any], version: Path) -> None:
    ended = run_module("serve", _settings(version, accelerator="CUDA"))
    assert (ended.status, ended.message["class"]) == (66, "ModelUnusable")
    assert ended.message["message"].startswith("accelerator CUDA: ")


def test_a_baseline_that_is_broken_keeps_it_from_starting(run_module: Callable[..., Any], tmp_path: Path) -> None:
    folder = write_version(tmp_path / "version")
    (folder / "modelcycle" / "baseline.json").write_text("{}")
    ended = run_module("serve", _settings(folder))
    assert (ended.status, ended.message["class"]) == (66, "ModelUnusable")


def test_the_loss_of_the_model_must_be_there(run_module: Callable[..., Any], version: Path) -> None:
    ended = run_module("serve", _settings(version, loss="Model"))
    assert (ended.status, ended.message["message"]) == (
        66,
        "the loss is Model, and version 1 has no modelcycle/loss.onnx",
    )


async def _load(url: str, until: asyncio.Event, statuses: list[int]) -> None:
    """A client that keeps its connection until the server closes it."""
    async with aiohttp.ClientSession(url) as client:
        while not until.is_set():
            async with client.post("/v2/models/hedge/infer", json=BODY) as answer:
                await answer.read()
                statuses.append(answer.status)


async def _until_more_than(count: int, statuses: list[int]) -> None:
    async with asyncio.timeout(60):
        while len(statuses) <= count:  # noqa: ASYNC110 (clients set no event)
            await asyncio.sleep(0.05)


async def _until_not_ready(metrics_url: str) -> None:
    async with aiohttp.ClientSession(metrics_url) as client:
        while True:
            async with client.get("/readyz") as answer:
                if answer.status == 503:
                    return
            await asyncio.sleep(0.05)


async def test_no_request_fails_while_it_drains(start: Callable[..., Any], version: Path) -> None:
    with start(version, drainSeconds=8) as running:
        stop, statuses = asyncio.Event(), list[int]()
        clients = [asyncio.create_task(_load(running.url, stop, statuses)) for _ in range(8)]
        await _until_more_than(0, statuses)
        os.kill(running.pid, signal.SIGTERM)
        await _until_not_ready(running.metrics_url)
        at_notice = len(statuses)
        await asyncio.sleep(0.5)  # a Service takes a while to notice
        await _until_more_than(at_notice, statuses)
        stop.set()
        await asyncio.gather(*clients)
        assert await _gone(running.log)
    assert set(statuses) == {200}


async def test_a_request_that_is_under_way_is_answered_after_the_drain(
    start: Callable[..., Any], version: Path
) -> None:
    with start(version, drainSeconds=0) as running:
        host, port = running.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(BODY).encode()
        head = f"POST /v2/models/hedge/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body[:10])
        await asyncio.sleep(2)  # until it has read that; it says nothing before all is there
        os.kill(running.pid, signal.SIGTERM)
        await asyncio.sleep(0.5)
        writer.write(body[10:])
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in answer
        writer.close()
        assert await _gone(running.log)


async def _gone(log: Path) -> bool:
    deadline = time.monotonic() + 60
    while "drained" not in await asyncio.to_thread(log.read_text):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def test_a_server_that_was_told_to_end_ends_with_zero(start: Callable[..., Any], version: Path) -> None:
    with start(version) as running:
        os.kill(running.pid, signal.SIGTERM)
        _, status = os.waitpid(running.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0


async def test_probes_are_answered_while_the_model_is_busy(start: Callable[..., Any], tmp_path: Path) -> None:
    folder = write_version(tmp_path, linear_model((1.0,) * 2000))
    rows = 500
    tensor = {"name": "x", "shape": [rows, 2000], "datatype": "FP32", "data": [0.5] * (rows * 2000)}
    body = json.dumps({"inputs": [tensor]}).encode()
    with start(folder, maxBodyBytes=100_000_000) as running:
        async with aiohttp.ClientSession() as client:

            async def busy() -> None:
                async with client.post(f"{running.url}/v2/models/hedge/infer", data=io.BytesIO(body)) as answer:
                    assert answer.status == 200

            tasks = [asyncio.create_task(busy()) for _ in range(4)]
            while not all(task.done() for task in tasks):
                async with asyncio.timeout(30), client.get(f"{running.metrics_url}/livez") as answer:
                    assert answer.status == 200
            await asyncio.gather(*tasks)
