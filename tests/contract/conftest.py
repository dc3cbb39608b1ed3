from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from modelcycle.core.plan import Effect
from modelcycle.registry.mlflow import MlflowRegistry
from modelcycle.registry.port import EnsureRun, RunInfo, Tags
from modelcycle.runtime.fence import OpenFence
from modelcycle.settings import MlflowEndpoint
from tests.support.mlflow_server import mlflow_server
from tests.support.proxy import FaultyProxy, faulty_proxy

ENDPOINT = "default"
HERE = Path(__file__).parent
SECONDS = 1200
"""With the servers that the first test of a session starts: on a busy machine they alone take minutes."""
_numbers = itertools.count()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder, allowed_hosts="127.0.0.1:*") as url:
        yield url


@pytest.fixture
def unique() -> str:
    """A text that no other test uses, for names and uids."""
    return f"u{next(_numbers)}"


@pytest.fixture
async def proxy(mlflow_url: str) -> AsyncIterator[FaultyProxy]:
    async with faulty_proxy(mlflow_url) as running:
        yield running


@dataclass
class Api:
    """MLflow's REST API as it is, to set up what somebody else did, and to look at what we did."""

    session: aiohttp.ClientSession
    url: str

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/api/2.0/mlflow/{path}", params=params) as answer:
            return dict(await answer.json())

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        async with self.session.post(f"{self.url}/api/2.0/mlflow/{path}", json=body) as answer:
            return dict(await answer.json())

    async def patch(self, path: str, **body: Any) -> None:
        async with self.session.patch(f"{self.url}/api/2.0/mlflow/{path}", json=body) as answer:
            answer.raise_for_status()

    async def artifacts(self, folder: str) -> dict[str, Any]:
        async with self.session.get(self._artifact(""), params={"path": folder}) as answer:
            return dict(await answer.json())

    async def download(self, path: str) -> bytes:
        async with self.session.get(self._artifact(path)) as answer:
            return await answer.read()

    async def upload(self, path: str, content: bytes) -> None:
        async with self.session.put(self._artifact(path), data=content) as answer:
            answer.raise_for_status()

    def _artifact(self, path: str) -> str:
        return f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{path}".rstrip("/")

    async def runs(self, experiment: str, uid: str) -> list[dict[str, Any]]:
        found = await self.get("experiments/get-by-name", experiment_name=experiment)
        query = f"tags.`modelcycle.dev/uid` = '{uid}'"
        body = {"experiment_ids": [found["experiment"]["experiment_id"]], "filter": query}
        return list((await self.post("runs/search", **body)).get("runs", []))

    async def versions(self, model: str) -> list[dict[str, Any]]:
        found = await self.get("model-versions/search", filter=f"name = '{model}'", order_by="version_number ASC")
        return list(found.get("model_versions", []))

    async def aliases(self, model: str) -> dict[str, str]:
        found = await self.get("registered-models/get", name=model)
        return {one["alias"]: one["version"] for one in found["registered_model"].get("aliases", [])}


@pytest.fixture
async def api(mlflow_url: str) -> AsyncIterator[Api]:
    # MLflow closes a connection that was idle for 5 s, perhaps at the moment at which it is used again.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield Api(session, mlflow_url)


class Registry:
    """The adapter under test, as the runtime uses it: by the type of the effect."""

    def __init__(self, adapter: MlflowRegistry) -> None:
        self.adapter = adapter

    async def carry_out(self, effect: Effect) -> Any:
        return await self.adapter.effects[type(effect)](effect)

    async def run(self, uid: str, *, experiment: str = "contract", tags: Tags = ()) -> RunInfo:
        made = await self.carry_out(EnsureRun(ENDPOINT, experiment, f"run of {uid}", uid, tags))
        assert isinstance(made, RunInfo)
        return made


@pytest.fixture
async def registry(proxy: FaultyProxy) -> AsyncIterator[Registry]:
    adapter = MlflowRegistry([MlflowEndpoint(name=ENDPOINT, url=proxy.url)], OpenFence())
    yield Registry(adapter)
    await adapter.close()


@pytest.fixture
def impatient(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter waits five seconds for an answer instead of ten: what is not held up has to come within that."""
    session = registry.adapter._servers[ENDPOINT].client._http._session
    monkeypatch.setattr(session, "_timeout", aiohttp.ClientTimeout(total=5))


@pytest.fixture
async def restarted(proxy: FaultyProxy) -> AsyncIterator[Registry]:
    """The adapter of another process, which remembers nothing."""
    adapter = MlflowRegistry([MlflowEndpoint(name=ENDPOINT, url=proxy.url)], OpenFence())
    yield Registry(adapter)
    await adapter.close()
