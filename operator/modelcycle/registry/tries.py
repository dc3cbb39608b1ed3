"""Whether a run may have been made before for somebody: by this replica, or by whoever led before."""

from __future__ import annotations

import asyncio
from typing import Protocol

from modelcycle.cluster.port import Fence
from modelcycle.constants import TAG_UID
from modelcycle.registry.answers import RunsFound
from modelcycle.registry.client import MlflowClient
from modelcycle.registry.open_runs import RUNS_PAGE, running

PAGES = 10
REMEMBERED = 20_000
_OURS = f"tags.`{TAG_UID}` LIKE '%'"


class TermFence(Fence, Protocol):
    @property
    def term(self) -> int:
        """Another number whenever somebody else may have written in between."""


class Tries:
    """One reading of an experiment tells what was there when this replica began to lead; since then nobody else writes.

    A run that its training does not know of was made in the last moments of an earlier leader: it is among the newest
    500, unless something kept the training from going on, and then it is still RUNNING.
    """

    def __init__(self, client: MlflowClient, fence: TermFence) -> None:
        self._client = client
        self._fence = fence
        self._lock = asyncio.Lock()
        self._term = -1
        self._uids: dict[str, set[str]] = {}

    async def is_first(self, experiment: str, uid: str) -> bool:
        """Whether there is no run for ``uid`` yet, for sure; from now on there may be one.

        Calls: ``runs/search``, a page each time, once for each experiment and time as the leader.
        """
        uids = await self._known(experiment)
        is_first = uid not in uids
        uids.add(uid)
        return is_first

    async def _known(self, experiment: str) -> set[str]:
        async with self._lock:
            if self._term != self._fence.term:
                self._term = self._fence.term
                self._uids.clear()
            if experiment not in self._uids or len(self._uids[experiment]) > REMEMBERED:
                self._uids[experiment] = await self._read(experiment)
            return self._uids[experiment]

    async def _read(self, experiment: str) -> set[str]:
        uids: set[str] = set()
        body = {
            "experiment_ids": [experiment],
            "filter": _OURS,
            "order_by": ["attributes.start_time DESC"],
            "max_results": RUNS_PAGE,
        }
        left = PAGES
        async for page in self._client.pages("runs/search", body, RunsFound):
            uids |= {run.data.tag(TAG_UID) or "" for run in page.runs}
            left -= 1
            if not page.next_page_token:
                return uids
            if not left:
                break
        return uids | {run.data.tag(TAG_UID) or "" async for run in running(self._client, [experiment], _OURS)}
