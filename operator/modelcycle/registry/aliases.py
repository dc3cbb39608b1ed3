"""Who owns a registered model's aliases, and the second half of an alias move."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from modelcycle.constants import TAG_OWNER
from modelcycle.errors import NotFound
from modelcycle.registry.answers import Nothing, RegisteredModel, RegisteredModelFound
from modelcycle.registry.client import MlflowClient
from modelcycle.registry.port import AliasMoved, ClaimModel, MoveAlias, SetAlias
from modelcycle.registry.versions import ensure_model


class Aliases:
    """The registered models of one MLflow server.

    MLflow has no compare-and-swap: between reading and writing another operator may write. Within this process a lock
    for each model keeps the two together; across operators the next reading of the model shows who won.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def claim(self, effect: ClaimModel) -> str:
        """Calls: ``registered-models/get``; and ``registered-models/create`` or ``set-tag`` when nobody has it."""
        async with self._lock(effect.model):
            model = await self._get(effect.model)
            if model is None and await ensure_model(self._client, effect.model, ((TAG_OWNER, effect.owner),)):
                return effect.owner
            model = model or await self._get(effect.model)
            owner = model.tag(TAG_OWNER) if model else None
            if owner not in (None, "", effect.replace):
                return str(owner)
            body = {"name": effect.model, "key": TAG_OWNER, "value": effect.owner}
            await self._client.post("registered-models/set-tag", body, Nothing)
            return effect.owner

    async def move(self, effect: MoveAlias) -> AliasMoved:
        """Calls: ``registered-models/get``; and one on ``registered-models/alias`` when it is to be moved.

        An alias that names ``to`` already counts as moved: the answer to an earlier try may have been lost.
        """
        async with self._lock(effect.model):
            model = await self._get(effect.model)
            now = model.alias(effect.alias) if model else None
            if now == effect.to or now != effect.expect:
                return AliasMoved(now, moved=now == effect.to)
            await self._write(effect.model, effect.alias, effect.to)
            return AliasMoved(effect.to, moved=True)

    async def set(self, effect: SetAlias) -> None:
        """Calls: one on ``registered-models/alias``, which says the same however often it is made."""
        async with self._lock(effect.model):
            await self._write(effect.model, effect.alias, effect.version)

    async def _write(self, model: str, alias: str, version: str | None) -> None:
        body = {"name": model, "alias": alias}
        if version is None:
            await self._client.delete("registered-models/alias", body, Nothing)
        else:
            await self._client.post("registered-models/alias", body | {"version": version}, Nothing)

    async def _get(self, name: str) -> RegisteredModel | None:
        try:
            return (await self._client.get("registered-models/get", RegisteredModelFound, name=name)).registered_model
        except NotFound:
            return None

    def _lock(self, model: str) -> asyncio.Lock:
        return self._locks.setdefault(model, asyncio.Lock())
