"""How many calls of MLflow one training costs the operator, from looking for its key to the end of its run."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from modelcycle.constants import TAG_KEY
from modelcycle.registry.port import (
    EndRun,
    EnsureRun,
    FindRegistered,
    RegisterModel,
    RunInfo,
    RunStatus,
    SetAlias,
    VersionInfo,
)
from tests.contract.conftest import ENDPOINT, Api, Registry
from tests.support.models import log_onnx
from tests.support.proxy import FaultyProxy

AT_ONCE = 24
BUDGET = 6


@dataclass(frozen=True)
class Course:
    """Trainings of one model, with pods that log what ``like`` logged and end their runs, as MLflow's client does."""

    registry: Registry
    api: Api
    name: str
    like: list[tuple[str, bytes]]

    @property
    def model(self) -> str:
        return f"shop.{self.name}"

    async def train(self, uid: str) -> VersionInfo:
        key = f"key of {uid}"
        assert await self.registry.carry_out(FindRegistered(ENDPOINT, self.model, key)) is None
        run: RunInfo = await self.registry.carry_out(EnsureRun(ENDPOINT, self.name, uid, uid, ((TAG_KEY, key),)))
        await self.pod(run)
        effect = RegisterModel(ENDPOINT, run.run_id, self.model, ((TAG_KEY, key),))
        version: VersionInfo = await self.registry.carry_out(effect)
        await self.registry.carry_out(EndRun(ENDPOINT, run.run_id, RunStatus.FINISHED))
        return version

    async def pod(self, run: RunInfo) -> None:
        """Its calls are not the operator's."""
        body = {"experiment_id": run.experiment_id, "name": "model", "source_run_id": run.run_id}
        model = (await self.api.post("logged-models", **body))["model"]["info"]
        root = model["artifact_uri"].removeprefix("mlflow-artifacts:/")
        for path, content in self.like:
            await self.api.upload(f"{root}/{path}", content)
        await self.api.patch(
            f"logged-models/{model['model_id']}", model_id=model["model_id"], status="LOGGED_MODEL_READY"
        )
        await self.api.post("runs/update", run_id=run.run_id, status="FINISHED")


async def course(registry: Registry, api: Api, url: str, name: str) -> Course:
    """One training is done: the experiment and the registered model are there, and known."""
    first: RunInfo = await registry.carry_out(EnsureRun(ENDPOINT, name, name, name, ()))
    logged = await asyncio.to_thread(log_onnx, url, first.run_id)
    folder = f"{first.experiment_id}/models/{logged}/artifacts"
    listed = (await api.artifacts(folder))["files"]
    like = [(file["path"], await api.download(f"{folder}/{file['path']}")) for file in listed]
    assert {"MLmodel", "model.onnx", "conda.yaml"} <= {path for path, _ in like}
    found = Course(registry, api, name, like)
    await found.train(f"{name}-0")
    return found


async def test_a_training_costs_few_calls_when_several_run(
    registry: Registry, api: Api, proxy: FaultyProxy, mlflow_url: str, unique: str
) -> None:
    trainings = await course(registry, api, mlflow_url, unique)
    proxy.api_calls()
    versions = await asyncio.gather(*(trainings.train(f"{unique}-{number + 1}") for number in range(AT_ONCE)))
    calls = proxy.api_calls()
    assert len({version.version for version in versions}) == AT_ONCE
    assert len(calls) / AT_ONCE <= BUDGET, sorted(calls)
    writes = ("POST runs/create", "POST model-versions/create")
    assert [calls.count(write) for write in writes] == [AT_ONCE, AT_ONCE]
    stored = await api.post("runs/search", experiment_ids=[(await _experiment(api, unique))], max_results=100)
    assert {run["info"]["status"] for run in stored["runs"]} == {"FINISHED"}


async def test_a_training_that_runs_alone(
    registry: Registry, api: Api, proxy: FaultyProxy, mlflow_url: str, unique: str
) -> None:
    trainings = await course(registry, api, mlflow_url, unique)
    proxy.api_calls()
    version = await trainings.train(f"{unique}-1")
    calls = [call if "/artifacts/" not in call else f"GET .../{call.rpartition('/')[2]}" for call in proxy.api_calls()]
    assert calls == [
        "GET model-versions/search",  # is it known?
        "POST runs/create",
        "GET model-versions/search",  # was it registered meanwhile?
        "POST logged-models/search",
        "GET .../MLmodel",
        "GET .../model.onnx",
        "GET mlflow-artifacts/artifacts",  # baseline, smoke test, whatever the run has beside
        "POST model-versions/create",
        "POST runs/search",  # has its pod ended it?
    ]
    await registry.carry_out(SetAlias(ENDPOINT, trainings.model, "challenger", version.version))
    assert proxy.api_calls() == ["POST registered-models/alias"]


async def _experiment(api: Api, name: str) -> Any:
    return (await api.get("experiments/get-by-name", experiment_name=name))["experiment"]["experiment_id"]
