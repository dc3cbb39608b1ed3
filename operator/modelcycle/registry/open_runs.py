"""Runs that are RUNNING in MLflow and were made for a training of this cluster: what the sweeper looks through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from modelcycle.constants import TAG_TRAINING, TAG_UID
from modelcycle.registry.answers import ExperimentFields, Page, Run, RunsFound
from modelcycle.registry.client import MlflowClient, literal

PAGE = 1000
# A run comes with all its parameters, metrics and tags: 20 KB is a lot, and 1 MiB is as much as we read.
RUNS_PAGE = 50
EXPERIMENTS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that nobody has ended; ``namespace``, ``name``, ``uid`` are those of its ModelTraining."""

    run_id: str
    namespace: str
    name: str
    uid: str


class _Experiments(Page):
    experiments: tuple[ExperimentFields, ...] = ()


async def open_runs(client: MlflowClient, cluster_id: str) -> AsyncIterator[OpenRun]:
    """Every run of ``cluster_id`` that is still RUNNING. Calls: both searches, a page each time."""
    ids = [experiment async for experiment in _experiments(client)]
    for first in range(0, len(ids), EXPERIMENTS_AT_ONCE):
        wanted = f"tags.`{TAG_TRAINING}` LIKE {literal(f'{cluster_id}/%')}"
        async for run in running(client, ids[first : first + EXPERIMENTS_AT_ONCE], wanted):
            found = _open_run(run)
            if found is not None:
                yield found


def _open_run(run: Run) -> OpenRun | None:
    """``<cluster>/<namespace>/<name>`` taken apart; None for a run that bears our tag and was not made by us."""
    training, uid = run.data.tag(TAG_TRAINING) or "", run.data.tag(TAG_UID)
    parts = training.rsplit("/", 2)
    return OpenRun(run.info.run_id, parts[1], parts[2], uid) if uid and len(parts) == 3 else None


async def _experiments(client: MlflowClient) -> AsyncIterator[str]:
    body = {"max_results": PAGE, "view_type": "ACTIVE_ONLY"}
    async for page in client.pages("experiments/search", body, _Experiments):
        for experiment in page.experiments:
            yield experiment.experiment_id


async def running(client: MlflowClient, experiments: Sequence[str], wanted: str) -> AsyncIterator[Run]:
    """All that are RUNNING and ``wanted`` (a filter). Calls: ``runs/search``, a page each time."""
    wanted = f"attributes.status = 'RUNNING' and {wanted}"
    body = {"experiment_ids": list(experiments), "filter": wanted, "max_results": RUNS_PAGE}
    async for page in client.pages("runs/search", body, RunsFound):
        for run in page.runs:
            yield run
