"""The Open Inference Protocol v2, over a real socket."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

MODEL = "/v2/models/hedge"


@pytest.fixture
async def client(server: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


def _body(data: Any = (1.0, 1.0), **change: Any) -> dict[str, Any]:
    shape = [len(data) // 2, 2] if isinstance(data, (list, tuple)) else [1, 2]
    return {"inputs": [{"name": "x", "shape": shape, "datatype": "FP32", "data": data}], **change}


@pytest.mark.parametrize("path", [f"{MODEL}/infer", f"{MODEL}/versions/7/infer"])
async def test_rows_are_answered(client: aiohttp.ClientSession, path: str) -> None:
    async with client.post(path, json=_body([1, 1, 0, 0], id="mine")) as answer:
        assert answer.status == 200
        record = await answer.json()
    tokens = record.pop("parameters")["feedback_token"]
    assert len(tokens) == 2
    assert record == {
        "model_name": "hedge",
        "model_version": "7",
        "id": "mine",
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 1], "data": [-0.5, 0.5]}],
    }


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/v2",
            {
                "name": "modelcycle",
                "version": "v2",
                "extensions": ["binary_tensor_data", "model_configuration", "statistics"],
            },
        ),
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        (f"{MODEL}/ready", {"name": "hedge", "ready": True}),
        (f"{MODEL}/versions/7/ready", {"name": "hedge", "ready": True}),
        (
            MODEL,
            {
                "name": "hedge",
                "versions": ["7"],
                "platform": "onnxruntime_onnx",
                "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
                "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 1]}],
            },
        ),
    ],
)
async def test_what_can_be_asked(client: aiohttp.ClientSession, path: str, expected: dict[str, Any]) -> None:
    async with client.get(path) as answer:
        assert (answer.status, await answer.json()) == (200, expected)


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("POST", "/v2/models/other/infer", 404, "model 'other' is not served here; hedge is"),
        ("POST", f"{MODEL}/versions/6/infer", 404, "version '6' is not served here; 7 is"),
        ("POST", f"{MODEL}/explain", 404, "/v2/models/hedge/explain is not served"),
        ("GET", "/", 404, "/v2/models/hedge/infer is"),
        ("GET", f"{MODEL}/infer", 405, "takes POST, not GET"),
        ("DELETE", "/v2", 405, "takes GET, not DELETE"),
    ],
)
async def test_what_is_not_there(client: aiohttp.ClientSession, method: str, path: str, status: int, said: str) -> None:
    async with client.request(method, path) as answer:
        assert answer.status == status
        assert said in (await answer.json())["error"]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        pytest.param({"data": b"{"}, 400, "body: not JSON", id="no JSON"),
        pytest.param({"data": b"[1]"}, 400, "body: must be an object", id="no object"),
        pytest.param({"data": b'{"inputs": [NaN]}'}, 400, "body: not JSON", id="NaN is no JSON"),
        pytest.param({"json": {}}, 400, "inputs: must be a list", id="no inputs"),
        pytest.param({"json": _body(id=1)}, 400, "id: must be a text", id="an id that is none"),
        pytest.param({"json": _body(parameters=[1])}, 400, "parameters: must be an object", id="parameters"),
        pytest.param({"json": _body(parameters={"event_time": 1})}, 400, "parameters.event_time", id="event time"),
        pytest.param({"json": _body(outputs=[{"name": "q"}])}, 400, "outputs[0].name", id="outputs"),
        pytest.param({"json": _body([1.0])}, 400, "shape", id="too few values"),
        pytest.param({"json": _body([None, 1.0])}, 400, "a is null, and never was", id="null where there was none"),
        pytest.param({"json": _body([0.0] * 100_000)}, 413, "at most 100000 are taken", id="a large body"),
        pytest.param(
            {"data": gzip.compress(b"{}"), "headers": {"Content-Encoding": "gzip"}}, 415, "Content-Encoding", id="gzip"
        ),
        pytest.param(
            {"data": b"{}", "headers": {"Inference-Header-Content-Length": "3"}},
            400,
            "Inference-Header-Content-Length",
            id="a JSON that is longer than the body",
        ),
    ],
)
async def test_what_is_wrong_is_named(
    client: aiohttp.ClientSession, body: dict[str, Any], status: int, said: str
) -> None:
    async with client.post(f"{MODEL}/infer", **body) as answer:
        assert answer.status == status
        assert said in (await answer.json())["error"]


async def test_null_is_taken_where_it_was_at_training(client: aiohttp.ClientSession) -> None:
    async with client.post(f"{MODEL}/infer", json=_body([1.0, None])) as answer:
        assert answer.status == 200
        assert (await answer.json())["outputs"][0]["data"] == [None]


async def test_a_body_without_a_length_is_bounded_too(client: aiohttp.ClientSession) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 10_000

    async with client.post(f"{MODEL}/infer", data=endless()) as answer:
        assert answer.status == 413


async def test_what_is_counted(start: Callable[..., Any], version: Path) -> None:
    with start(version, digest="abc") as running:
        before = await running.metrics()
        async with aiohttp.ClientSession(running.url) as client:
            for body, status in ((_body([9.0, 9.0, -9.0, None]), 200), (_body([1.0]), 400), (_body([9.0, 9.0]), 200)):
                async with client.post(f"{MODEL}/infer", json=body) as answer:
                    assert answer.status == status
        after = await running.metrics()
    assert after['modelcycle_model_info{digest="abc",version="7"}'] == 1
    assert after['modelcycle_baseline_feature_bin{bin="null",feature="b",version="7"}'] == 1
    assert after['modelcycle_baseline_prediction_bin{bin="0",output="y",version="7"}'] == 10
    changed = {
        series: value - before[series]
        for series, value in after.items()
        if series in before and value != before[series] and "_seconds" not in series and "_batch_rows" not in series
    }
    assert changed == {
        'modelcycle_requests_total{code="200",version="7"}': 2,
        'modelcycle_requests_total{code="400",version="7"}': 1,
        'modelcycle_feature_bin_total{bin="0",feature="a",version="7"}': 1,
        'modelcycle_feature_bin_total{bin="9",feature="a",version="7"}': 2,
        'modelcycle_feature_bin_total{bin="9",feature="b",version="7"}': 2,
        'modelcycle_feature_bin_total{bin="null",feature="b",version="7"}': 1,
        'modelcycle_prediction_bin_total{bin="0",output="y",version="7"}': 2,
        'modelcycle_prediction_bin_total{bin="null",output="y",version="7"}': 1,
    }
    assert not [series for series in after if series not in before]
    assert after['modelcycle_request_seconds_count{version="7"}'] == 3


async def test_the_baseline_is_exported_bin_by_bin_beside_the_live_counts(server: Any) -> None:
    metrics = await server.metrics()
    for baseline, live in (
        ("modelcycle_baseline_feature_bin", "modelcycle_feature_bin_total"),
        ("modelcycle_baseline_prediction_bin", "modelcycle_prediction_bin_total"),
    ):
        bins = {
            series.removeprefix(baseline): value for series, value in metrics.items() if series.startswith(baseline)
        }
        assert bins.keys() == {s.removeprefix(live) for s in metrics if s.startswith(live)}
        assert sum(bins.values()) > 0


@pytest.mark.parametrize(
    ("path", "status"), [("/livez", 200), ("/readyz", 200), ("/metrics", 200), ("/metrics?x=1", 200), ("/", 404)]
)
async def test_the_port_of_metrics(server: Any, path: str, status: int) -> None:
    async with aiohttp.ClientSession(server.metrics_url) as client, client.get(path) as answer:
        assert answer.status == status
