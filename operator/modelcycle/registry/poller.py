"""Keeps the aliases and owners of registered models fresh: one search for up to fifty of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from modelcycle.constants import TAG_OWNER
from modelcycle.core.plan import FactRequest
from modelcycle.registry.answers import RegisteredModel, RegisteredModelsFound
from modelcycle.registry.client import MlflowClient, literal
from modelcycle.registry.port import ModelFact, ModelReading
from modelcycle.runtime.ports import FactReadings

POLL_SECONDS = 5.0
# A registered model comes with its latest version and that one's tags, 10 KB at worst: a page stays below the 1 MiB
# that we read. The names of a page travel in the URL, which proxies cut at 8 KiB.
PAGE = 50
PAGE_CHARACTERS = 4000


@dataclass(frozen=True, slots=True)
class ModelPoller:
    """Reads ``ModelFact`` of one MLflow server."""

    client: MlflowClient
    interval: float = POLL_SECONDS

    async def read(self, requests: Collection[FactRequest]) -> FactReadings:
        """Calls: ``registered-models/search`` for each page of names that are wanted, whatever else is registered."""
        wanted = [request for request in requests if isinstance(request, ModelFact)]
        models: dict[str, RegisteredModel] = {}
        for page in pages(sorted({request.model for request in wanted})):
            models |= await self._search(page)
        return {request: reading(models.get(request.model)) for request in wanted}

    async def _search(self, names: Collection[str]) -> dict[str, RegisteredModel]:
        query = f"name IN ({', '.join(literal(name) for name in names)})"
        found: dict[str, RegisteredModel] = {}
        token: dict[str, str] = {}
        while True:
            answer = await self.client.get(
                "registered-models/search", RegisteredModelsFound, filter=query, max_results=str(PAGE), **token
            )
            found |= {model.name: model for model in answer.registered_models}
            if not answer.next_page_token:
                return found
            token = {"page_token": answer.next_page_token}


def pages(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """``names`` in portions that fit a page and a URL."""
    page: list[str] = []
    for name in names:
        if len(page) == PAGE or sum(map(len, page)) + len(name) > PAGE_CHARACTERS:
            yield tuple(page)
            page = []
        page.append(name)
    if page:
        yield tuple(page)


def reading(model: RegisteredModel | None) -> ModelReading:
    if model is None:
        return ModelReading(exists=False)
    return ModelReading(
        exists=True,
        aliases=tuple(sorted((alias.alias, alias.version) for alias in model.aliases)),
        owner=model.tag(TAG_OWNER) or None,
    )
