"""Runs: made before the pod, ended by the operator, one for each uid."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from modelcycle.constants import TAG_DUPLICATE_OF, TAG_UID
from modelcycle.errors import AlreadyExists, NotFound, Refused, Unavailable
from modelcycle.registry.answers import (
    ExperimentCreated,
    ExperimentFound,
    Nothing,
    Run,
    RunFound,
    RunsFound,
    RunUpdated,
)
from modelcycle.registry.client import MlflowClient, literal, tag_list
from modelcycle.registry.port import EndRun, EnsureRun, RunInfo, RunStatus, Tags
from modelcycle.registry.together import Together
from modelcycle.registry.tries import TermFence, Tries

REMEMBERED = 10_000
LOOKED_UP = 20  # a run comes with all that was logged to it, 20 KB is a lot, and 1 MiB is as much as we read


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Runs:
    """The runs of one MLflow server. Remembers ids of experiments, and where runs belong, to save calls."""

    def __init__(self, client: MlflowClient, fence: TermFence) -> None:
        self._client = client
        self._tries = Tries(client, fence)
        self._experiments: dict[str, str] = {}
        self._seen: dict[str, RunInfo] = {}
        self._statuses: Together[RunInfo, str] = Together(self._read_statuses, LOOKED_UP)

    async def ensure(self, effect: EnsureRun) -> RunInfo:
        """Calls: ``runs/create``; after ``runs/search`` where an earlier try may have made one.

        Before, once for each experiment: ``experiments/get-by-name``, ``experiments/create`` when there is none, and
        ``runs/search`` (see ``Tries``). For each duplicate, once: ``runs/log-batch`` and ``runs/update``.
        """
        experiment = await self._experiment(effect.experiment)
        if effect.keep is None and await self._tries.is_first(experiment, effect.uid):
            return self._remembered(await self._create(experiment, effect))
        run, duplicates = chosen(await self._search(experiment, effect.uid), effect.keep)
        for duplicate in duplicates:
            await self._end(duplicate.info.run_id, RunStatus.KILLED, _duplicate_of(run))
        return self._remembered(run or await self._create(experiment, effect))

    async def end(self, effect: EndRun) -> None:
        """Calls: ``runs/search`` for all that end at a time, since most pods end their runs themselves.

        For the others, and those with tags: ``runs/log-batch`` when there are tags, ``runs/update``; ``runs/get`` for
        a run that refuses.
        """
        if not effect.tags and await self._status(effect.run_id) == effect.status:
            return
        try:
            await self._end(effect.run_id, effect.status, effect.tags)
        except NotFound:
            return
        except Refused:
            if (await self._get(effect.run_id)).info.lifecycle_stage == "deleted":
                return
            raise

    async def info(self, run_id: str) -> RunInfo:
        """Calls: ``runs/get``, unless this process made or found the run. Raises ``NotFound``."""
        return self._seen.get(run_id) or self._remembered(await self._get(run_id))

    async def _status(self, run_id: str) -> str | None:
        """None when nobody knows: what is to be done then is right for any status."""
        run = self._seen.get(run_id)
        try:
            return await self._statuses.answer(run) if run is not None else None
        except Unavailable:
            return None

    async def _read_statuses(self, runs: tuple[RunInfo, ...]) -> Mapping[RunInfo, str]:
        body = {
            "experiment_ids": sorted({run.experiment_id for run in runs}),
            "filter": f"attributes.run_id IN ({', '.join(literal(run.run_id) for run in runs)})",
            "max_results": len(runs),
        }
        found = {
            run.info.run_id: run.info.status for run in (await self._client.post("runs/search", body, RunsFound)).runs
        }
        return {run: found[run.run_id] for run in runs if run.run_id in found}

    async def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            self._experiments[name] = await self._find_experiment(name) or await self._create_experiment(name)
        return self._experiments[name]

    async def _find_experiment(self, name: str) -> str | None:
        try:
            found = await self._client.get("experiments/get-by-name", ExperimentFound, experiment_name=name)
        except NotFound:
            return None
        if found.experiment.lifecycle_stage != "active":
            raise Refused(
                f"the MLflow experiment {name!r} was deleted: restore it (mlflow experiments restore "
                f"--experiment-id {found.experiment.experiment_id}) or name another in spec.experiment"
            )
        return found.experiment.experiment_id

    async def _create_experiment(self, name: str) -> str:
        try:
            return (await self._client.post("experiments/create", {"name": name}, ExperimentCreated)).experiment_id
        except AlreadyExists:  # somebody else was faster
            found = await self._find_experiment(name)
            if found is None:
                raise
            return found

    async def _search(self, experiment: str, uid: str) -> Sequence[Run]:
        body = {
            "experiment_ids": [experiment],
            "filter": f"tags.`{TAG_UID}` = {literal(uid)}",
            "order_by": ["attributes.start_time ASC"],
            "max_results": 50,
        }
        return (await self._client.post("runs/search", body, RunsFound)).runs

    async def _create(self, experiment: str, effect: EnsureRun) -> Run:
        body = {
            "experiment_id": experiment,
            "run_name": effect.name,
            "start_time": milliseconds(),
            "tags": tag_list((*((k, v) for k, v in effect.tags if k != TAG_UID), (TAG_UID, effect.uid))),
        }
        try:
            return (await self._client.post("runs/create", body, RunFound)).run
        except (NotFound, Refused) as error:  # was the experiment deleted since we learnt its id?
            self._experiments.pop(effect.experiment, None)
            if await self._find_experiment(effect.experiment) == experiment:
                raise
            raise Unavailable(f"the MLflow experiment {effect.experiment!r} is gone: it is made again", 1) from error

    async def _get(self, run_id: str) -> Run:
        return (await self._client.get("runs/get", RunFound, run_id=run_id)).run

    async def _end(self, run_id: str, status: RunStatus, tags: Tags) -> None:
        if tags:
            await self._client.post("runs/log-batch", {"run_id": run_id, "tags": tag_list(tags)}, Nothing)
        body = {"run_id": run_id, "status": status.value, "end_time": milliseconds()}
        await self._client.post("runs/update", body, RunUpdated)

    def _remembered(self, run: Run) -> RunInfo:
        info = RunInfo(run.info.run_id, run.info.experiment_id, run.info.artifact_uri)
        if len(self._seen) >= REMEMBERED:
            self._seen.pop(next(iter(self._seen)))
        self._seen[info.run_id] = info
        return info


def chosen(runs: Sequence[Run], keep: str | None = None) -> tuple[Run | None, tuple[Run, ...]]:
    """The run that counts, and the others that are to be ended: those that are tagged as duplicates are out already."""
    alive = sorted(
        (run for run in runs if run.info.run_id == keep or run.data.tag(TAG_DUPLICATE_OF) is None),
        key=lambda run: (run.info.run_id != keep, run.info.start_time, run.info.run_id),
    )
    return (alive[0] if alive else None), tuple(alive[1:])


def _duplicate_of(run: Run | None) -> Tags:
    return ((TAG_DUPLICATE_OF, run.info.run_id),) if run else ()
