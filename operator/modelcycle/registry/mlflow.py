"""MLflow as the registry: its REST API over aiohttp, for every effect and fact of ``registry.port``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from modelcycle.core.plan import Effect, FactRequest
from modelcycle.errors import Unusable
from modelcycle.registry.aliases import Aliases
from modelcycle.registry.client import MlflowClient
from modelcycle.registry.open_runs import OpenRun, open_runs
from modelcycle.registry.poller import ModelPoller
from modelcycle.registry.port import (
    ClaimModel,
    EndRun,
    EnsureRun,
    FindRegistered,
    ModelFact,
    MoveAlias,
    ReadVersion,
    RegisterModel,
    SetAlias,
    SetVersionTags,
)
from modelcycle.registry.runs import Runs
from modelcycle.registry.tries import TermFence
from modelcycle.registry.versions import Versions
from modelcycle.runtime.ports import EffectHandler, Poller
from modelcycle.settings import MlflowEndpoint


class _OfEndpoint(Protocol):
    @property
    def endpoint(self) -> str: ...


@dataclass(frozen=True, slots=True)
class _Server:
    client: MlflowClient
    runs: Runs
    versions: Versions
    aliases: Aliases


class MlflowRegistry:
    """The adapter of all MLflow endpoints. Made inside of the running event loop."""

    def __init__(self, endpoints: Sequence[MlflowEndpoint], fence: TermFence) -> None:
        self._servers = {endpoint.name: _server(endpoint, fence) for endpoint in endpoints}

    @property
    def effects(self) -> Mapping[type[Effect], EffectHandler]:
        return {
            EnsureRun: lambda effect: self._at(effect).runs.ensure(effect),
            EndRun: lambda effect: self._at(effect).runs.end(effect),
            FindRegistered: lambda effect: self._at(effect).versions.find(effect),
            RegisterModel: lambda effect: self._at(effect).versions.register(effect),
            ReadVersion: lambda effect: self._at(effect).versions.read(effect),
            SetVersionTags: lambda effect: self._at(effect).versions.set_tags(effect),
            ClaimModel: lambda effect: self._at(effect).aliases.claim(effect),
            MoveAlias: lambda effect: self._at(effect).aliases.move(effect),
            SetAlias: lambda effect: self._at(effect).aliases.set(effect),
        }

    @property
    def facts(self) -> frozenset[type[FactRequest]]:
        return frozenset({ModelFact})

    @property
    def pollers(self) -> Mapping[str, Poller]:
        return {name: ModelPoller(server.client) for name, server in self._servers.items()}

    async def open_runs(self, endpoint: str, cluster_id: str) -> AsyncIterator[OpenRun]:
        """Runs made for trainings of this cluster that nobody has ended yet."""
        async for run in open_runs(self._servers[endpoint].client, cluster_id):
            yield run

    async def end_run(self, effect: EndRun) -> None:
        """As the effect, for the sweeper, which acts for no resource."""
        await self._at(effect).runs.end(effect)

    async def close(self) -> None:
        for server in self._servers.values():
            await server.client.close()

    def _at(self, effect: _OfEndpoint) -> _Server:
        server = self._servers.get(effect.endpoint)
        if server is None:
            raise Unusable(
                "EndpointUnknown",
                f"no MLflow endpoint is named {effect.endpoint!r}: the administrator defines {sorted(self._servers)}",
            )
        return server


def _server(endpoint: MlflowEndpoint, fence: TermFence) -> _Server:
    client = MlflowClient(endpoint, fence)
    runs = Runs(client, fence)
    return _Server(client, runs, Versions(client, runs), Aliases(client))
