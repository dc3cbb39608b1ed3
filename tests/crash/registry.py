"""What is in MLflow for one case, asked for without the proxy."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp

from modelcycle import constants as names


@dataclass(frozen=True)
class RegistryView:
    session: aiohttp.ClientSession
    url: str
    model: str
    experiment: str

    async def runs(self) -> list[dict[str, Any]]:
        """All runs, those that somebody deleted too."""
        found = await self._get("experiments/get-by-name", experiment_name=self.experiment)
        if "experiment" not in found:
            return []
        body = {"experiment_ids": [found["experiment"]["experiment_id"]], "run_view_type": "ALL"}
        return list((await self._post("runs/search", body)).get("runs", []))

    async def versions(self) -> list[dict[str, Any]]:
        found = await self._get("model-versions/search", filter=f"name = '{self.model}'", order_by="version_number ASC")
        return list(found.get("model_versions", []))

    async def registered(self) -> dict[str, Any]:
        return dict((await self._get("registered-models/get", name=self.model)).get("registered_model", {}))

    async def point(self, alias: str, version: str) -> None:
        """What a person does who moves an alias by hand."""
        await self._post("registered-models/alias", {"name": self.model, "alias": alias, "version": version})

    async def until_no_run_is_open(self, seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while any(run["info"]["status"] == "RUNNING" for run in await self.runs()):  # noqa: ASYNC110 (MLflow tells nobody)
                await asyncio.sleep(0.5)

    async def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        async with self.session.get(f"{self.url}/api/2.0/mlflow/{path}", params=parameters) as answer:
            return dict(await answer.json())

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self.session.post(f"{self.url}/api/2.0/mlflow/{path}", json=body) as answer:
            return dict(await answer.json())


def tags(one: dict[str, Any]) -> dict[str, str]:
    """Our own tags of a run, version or registered model."""
    listed = one.get("data", one).get("tags", [])
    return {tag["key"]: tag["value"] for tag in listed if tag["key"].startswith("modelcycle.dev/")}


def is_duplicate(one: dict[str, Any]) -> bool:
    return names.TAG_DUPLICATE_OF in tags(one)
