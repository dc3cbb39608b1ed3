"""Both clients by the same calls, so that each test holds for both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from modelcycle_client import AsyncClient, Client


class Either:
    """A client whose calls are awaited: those of threads run in one."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def call(self, name: str, *words: Any, **options: Any) -> Any:
        method = getattr(self._client, name)
        if inspect.iscoroutinefunction(method):
            return await method(*words, **options)
        return await asyncio.to_thread(method, *words, **options)


@asynccontextmanager
async def either(kind: str, url: str, **options: Any) -> AsyncIterator[Either]:
    """A client of ``kind``: ``threads`` or ``asyncio``; for the model ``hedge``."""
    if kind == "threads":
        with Client(url, "hedge", **options) as client:
            yield Either(client)
    else:
        async with AsyncClient(url, "hedge", **options) as client:
            yield Either(client)
