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

MODELCYCLE = "modelcycle"
READY = "LOGGED_MODEL_READY"
MAX_MODELS = 20


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

    async def the_onnx_model(self, run: RunInfo, since: datetime | None) -> tuple[LoggedModelFields, bytes]:
        """The one ONNX model of the run, and its MLmodel. Calls: ``logged-models/search``, and MLmodel of each model.

        Raises ``Unusable``: NoModelLogged, SeveralModelsLogged, UnsupportedFlavor, ModelMalformed, ArtifactsNotProxied.
        """
        models = finished(await self._search(run), run.run_id, since)
        described_models = {}
        for model in models:
            content = await self._artifacts.content(model.artifact_uri, MLMODEL)
            described_models[model.model_id] = await _described(content, model.artifact_uri), content
        one = the_onnx_one({key: description for key, (description, _) in described_models.items()}, run.run_id)
        return next(model for model in models if model.model_id == one), described_models[one][1]

    async def contents(self, model_root: str, run_root: str | None, mlmodel: bytes | None = None) -> Contents:
        """Hash the model's folder and the run's folder ``modelcycle``.

        Calls: a listing for each folder, and each file once (``mlmodel``: what MLmodel holds, when it was read before).
        Raises ``Unusable``: TooManyFiles, UnsupportedFlavor, SignatureMissing, ModelMalformed, ArtifactsNotProxied.
        """
        in_model = await self._artifacts.listed(model_root)
        mlmodel = mlmodel or await self._artifacts.content(model_root, MLMODEL)
        require_servable(await _described(mlmodel, model_root), {file.path for file in in_model}, model_root)
        files = [file_of(mlmodel, f"model/{MLMODEL}")]
        files += [await self._artifacts.hashed(model_root, file, "model/") for file in in_model if file.path != MLMODEL]
        if run_root is None:
            return Contents(model_root, None, _sorted(files), None)
        folder = f"{run_root}/{MODELCYCLE}"
        beside = await self._artifacts.listed(folder, MAX_FILES - len(in_model))
        files += [
            await self._artifacts.hashed(folder, file, f"{MODELCYCLE}/") for file in beside if file.path != BASELINE
        ]
        if BASELINE not in {file.path for file in beside}:
            return Contents(model_root, run_root, _sorted(files), None)
        baseline = await self._artifacts.content(folder, BASELINE)
        files.append(file_of(baseline, f"{MODELCYCLE}/{BASELINE}"))
        return Contents(model_root, run_root, _sorted(files), mean_loss(baseline))

    async def _search(self, run: RunInfo) -> Sequence[LoggedModelFields]:
        body = {
            "experiment_ids": [run.experiment_id],
            "filter": f"source_run_id = {literal(run.run_id)}",
            "max_results": MAX_MODELS + 1,
        }
        found = await self._client.post("logged-models/search", body, LoggedModelsFound)
        return tuple(model.info for model in found.models)


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
    return await asyncio.to_thread(described, content, f"{root}/{MLMODEL}")  # YAML takes its time


def _sorted(files: Sequence[ModelFile]) -> tuple[ModelFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))
