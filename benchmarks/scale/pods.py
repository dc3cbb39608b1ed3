"""What the pods of trainings do where MLflow is real: each logs a small ONNX model to its run, and then ends well.

KWOK's pods run nothing, so this program does it for them. It writes to MLflow's store itself, past the server, since
what is measured is what the operator asks of the server. It learns of pods by a watch and lets each end by annotating
it (see stages.yaml); run as a program it goes on until it is killed.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import uvloop
from mlflow.entities import LoggedModelStatus, RunStatus
from mlflow.store.tracking import sqlalchemy_store

import mlflow
from benchmarks.scale.client import Client, Manifest, connect
from benchmarks.scale.trainings import PODS
from tests.support.models import linear_model, signature

WEIGHTS = (1.0, -2.0)
IMAGE = "localhost/bench/logged:1"


def template(folder: Path) -> Path:
    """A folder with the files of a logged model."""
    path = folder / "template"
    mlflow.onnx.save_model(
        linear_model(WEIGHTS), str(path), signature=signature(WEIGHTS), pip_requirements=["onnx", "onnxruntime"]
    )
    return path


_store: Any = sqlalchemy_store.SqlAlchemyStore  # which has no types


class Logger:
    """``folder``: of the MLflow server, see tests/support/mlflow_server.py."""

    def __init__(self, folder: Path) -> None:
        self._artifacts = folder / "artifacts"
        self._template = template(folder)
        self._store = _store(f"sqlite:///{folder}/mlflow.db", "mlflow-artifacts:/")

    def log(self, run_id: str) -> None:
        experiment = self._store.get_run(run_id).info.experiment_id
        model = self._store.create_logged_model(experiment, name="model", source_run_id=run_id)
        shutil.copytree(self._template, self._artifacts / experiment / "models" / model.model_id / "artifacts")
        self._store.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
        self._store.update_run_info(run_id, RunStatus.FINISHED, None, None)


async def play(client: Client, logger: Logger) -> None:
    """Every pod that runs with our image logs its model, and may end."""
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    listing = await client.request("GET", PODS)
    started: set[str] = set()
    tasks: set[asyncio.Task[None]] = set()

    async def end(name: str, run_id: str) -> None:
        await loop.run_in_executor(pool, logger.log, run_id)
        body = {"metadata": {"annotations": {"bench/logged": "yes"}}}
        await client.request("PATCH", f"{PODS}/{name}", body, "merge-patch+json")

    async for _, pod in client.watch(PODS, listing["metadata"]["resourceVersion"]):
        name, run_id = pod["metadata"]["name"], _run_of(pod)
        if run_id is not None and pod.get("status", {}).get("phase") == "Running" and name not in started:
            started.add(name)
            task = asyncio.create_task(end(name, run_id))
            tasks.add(task)
            task.add_done_callback(_ended)
            task.add_done_callback(tasks.discard)


def _run_of(pod: Manifest) -> str | None:
    container: Any = pod["spec"]["containers"][0]
    found = [one["value"] for one in container.get("env", ()) if one["name"] == "MLFLOW_RUN_ID"]
    return str(found[0]) if found and container["image"] == IMAGE else None


def _ended(task: asyncio.Task[None]) -> None:
    task.result()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--mlflow", type=Path, required=True, help="folder of the MLflow server")
    parsed = parser.parse_args(arguments)
    logger = Logger(parsed.mlflow)

    async def run() -> None:
        async with connect(parsed.kubeconfig) as client:
            print("ready", flush=True)
            await play(client, logger)

    uvloop.run(run())


if __name__ == "__main__":
    main()
