"""Which of the models that a run logged is served, and what belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelcycle.api.v1alpha1.common import ModelFile
from modelcycle.errors import Unusable
from modelcycle.registry.answers import LoggedModelFields, LoggedModelsFound
from modelcycle.registry.artifacts import MAX_FILES, Artifacts, file_of, manifest_digest
from modelcycle.registry.client import MlflowClient, literal
from modelcycle.registry.mlmodel import (
    BASELINE,
    MLMODEL,
    ModelDescription,
    described,
    mean_loss,
    require_servable,
    unsupported_flavor,
)
from modelcycle.registry.port import RunInfo
from modelcycle.registry.together import Together

MODELCYCLE = "modelcycle"
READY = "LOGGED_MODEL_READY"
MAX_MODELS = 20
PAGE = 100
READ_IN_THREAD = 1 << 12  # bytes of YAML, some milliseconds
# What MLflow writes down of the environment that logged the model: no pod of ours reads it.
NOT_SERVED = ("conda.yaml", "python_env.yaml", "requirements.txt")


@dataclass(frozen=True, slots=True)
class Contents:
    """All files of a version with their digests. ``baseline_loss``: mean loss at training, a decimal."""

    model_root: str
    run_root: str | None
    files: tuple[ModelFile, ...]
    baseline_loss: str | None

    @property
    def digest(self) -> str:
        return manifest_digest(self.files)


class LoggedModels:
    """The models that runs logged to one MLflow server."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client
        self._artifacts = Artifacts(client)
        self._of_runs: Together[RunInfo, Sequence[LoggedModelFields]] = Together(self._search)

    async def the_onnx_model(self, run: RunInfo, since: datetime | None) -> tuple[LoggedModelFields, bytes]:
        """The one ONNX model of the run, and its MLmodel.

        Calls: ``logged-models/search``, one for all that ask at a time, and MLmodel of each model.
        Raises ``Unusable``: NoModelLogged, SeveralModelsLogged, UnsupportedFlavor, ModelMalformed, ArtifactsNotProxied.
        """
        models = finished(await self._of_runs.answer(run) or (), run.run_id, since)
        described_models = {}
        for model in models:
            content = await self._artifacts.content(model.artifact_uri, MLMODEL)
            described_models[model.model_id] = await _described(content, model.artifact_uri), content
        one = the_onnx_one({key: description for key, (description, _) in described_models.items()}, run.run_id)
        return next(model for model in models if model.model_id == one), described_models[one][1]

    async def contents(self, model_root: str, run_root: str | None, mlmodel: bytes | None = None) -> Contents:
        """Hash what is served of the model's folder, and the run's folder ``modelcycle``.

        Calls: a listing of the run's folder, one of the model's if weights lie beside the graph, and each file once
        (``mlmodel``: what MLmodel holds, when it was read before).
        Raises ``Unusable``: TooManyFiles, UnsupportedFlavor, SignatureMissing, ModelMalformed, ArtifactsNotProxied.
        """
        mlmodel = mlmodel or await self._artifacts.content(model_root, MLMODEL)
        graph = require_servable(await _described(mlmodel, model_root), model_root)
        files = [file_of(mlmodel, f"model/{MLMODEL}"), *await self._graph(model_root, graph)]
        if run_root is None:
            return Contents(model_root, None, _sorted(files), None)
        folder = f"{run_root}/{MODELCYCLE}"
        beside = await self._artifacts.listed(folder, MAX_FILES - len(files))
        files += [
            await self._artifacts.hashed(folder, file, f"{MODELCYCLE}/") for file in beside if file.path != BASELINE
        ]
        if BASELINE not in {file.path for file in beside}:
            return Contents(model_root, run_root, _sorted(files), None)
        baseline = await self._artifacts.content(folder, BASELINE)
        files.append(file_of(baseline, f"{MODELCYCLE}/{BASELINE}"))
        return Contents(model_root, run_root, _sorted(files), mean_loss(baseline))

    async def _graph(self, root: str, path: str) -> list[ModelFile]:
        """The ONNX file; and where it needs others beside it, all that is in the folder but MLmodel and NOT_SERVED."""
        graph, weights_beside = await self._artifacts.graph(root, path, "model/")
        if not weights_beside:
            return [graph]
        others = [file for file in await self._artifacts.listed(root) if file.path not in {path, MLMODEL, *NOT_SERVED}]
        return [graph, *[await self._artifacts.hashed(root, file, "model/") for file in others]]

    async def _search(self, runs: tuple[RunInfo, ...]) -> Mapping[RunInfo, Sequence[LoggedModelFields]]:
        found = await self._page(runs)
        if found.next_page_token and len(runs) > 1:  # some run logged very many
            return {run: (await self._search((run,)))[run] for run in runs}
        models = [model.info for model in found.models]
        return {run: tuple(model for model in models if model.source_run_id == run.run_id) for run in runs}

    async def _page(self, runs: tuple[RunInfo, ...]) -> LoggedModelsFound:
        body = {
            "experiment_ids": sorted({run.experiment_id for run in runs}),
            "filter": f"source_run_id IN ({', '.join(literal(run.run_id) for run in runs)})",
            "max_results": MAX_MODELS + 1 if len(runs) == 1 else PAGE,
        }
        return await self._client.post("logged-models/search", body, LoggedModelsFound)


def finished(models: Sequence[LoggedModelFields], run_id: str, since: datetime | None) -> tuple[LoggedModelFields, ...]:
    """The models that were logged to their end since ``since``. Raises ``Unusable`` for none or too many."""
    floor = since.timestamp() * 1000 if since else 0
    ready = tuple(model for model in models if model.status == READY and model.creation_timestamp_ms >= floor)
    if len(models) > MAX_MODELS:
        raise Unusable("SeveralModelsLogged", f"run {run_id} logged more than {MAX_MODELS} models: log one ONNX model")
    if ready:
        return ready
    if models:
        raise Unusable(
            "NoModelLogged",
            f"run {run_id} logged no model to its end: {len(models)} were broken off or belong to an earlier attempt",
        )
    raise Unusable(
        "NoModelLogged",
        f"run {run_id} logged no model: log one to this run with mlflow.onnx.log_model (MLflow 3), signature included",
    )


def the_onnx_one(models: Mapping[str, ModelDescription], run_id: str) -> str:
    """Id of the one ONNX model among ``models`` (by id), which may have others beside it. Raises ``Unusable``."""
    onnx = [model_id for model_id, model in models.items() if model.onnx_file is not None]
    if len(onnx) > 1:
        raise Unusable(
            "SeveralModelsLogged",
            f"run {run_id} logged {len(onnx)} ONNX models ({', '.join(onnx[:5])}): log exactly one",
        )
    if not onnx:
        flavors = sorted({flavor for model in models.values() for flavor in model.flavors})
        raise unsupported_flavor(f"the model of run {run_id}", flavors)
    return onnx[0]


async def _described(content: bytes, root: str) -> ModelDescription:
    where = f"{root}/{MLMODEL}"
    if len(content) < READ_IN_THREAD:
        return described(content, where)
    return await asyncio.to_thread(described, content, where)


def _sorted(files: Sequence[ModelFile]) -> tuple[ModelFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))
