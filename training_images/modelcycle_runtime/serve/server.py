"""A server's life: load, test, serve, drain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from modelcycle_runtime.bins import Baseline, read_baseline
from modelcycle_runtime.contract import ARTIFACT_BASELINE, ARTIFACT_LOSS, PORT_HTTP
from modelcycle_runtime.errors import DataError, ModelUnusable, UserError
from modelcycle_runtime.losses import Loss, LossName, built_in, load_loss
from modelcycle_runtime.model import load_model
from modelcycle_runtime.serve import smoke
from modelcycle_runtime.serve.api import Api, Limits
from modelcycle_runtime.serve.connections import Server
from modelcycle_runtime.serve.desk import Desk
from modelcycle_runtime.serve.feedback import Ledger, Scorer
from modelcycle_runtime.serve.inference import Engine, new_pool
from modelcycle_runtime.serve.metrics import Metrics
from modelcycle_runtime.serve.monitoring import State
from modelcycle_runtime.serve.peers import Peers, parse_names
from modelcycle_runtime.serve.settings import Settings
from modelcycle_runtime.serve.tokens import MIN_KEY_BYTES, Signer

_BACKLOG = 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version that passed its smoke test."""

    engine: Engine
    signer: Signer
    scorer: Scorer


def load(settings: Settings) -> Loaded:
    """Loads and tests the version.

    Raises:
        ModelUnusable: it can't be loaded.
        SmokeFailed: it answers its records otherwise than at training.
        UserError: the key is missing or too short.
    """
    signer = _signer(settings.feedback_key_file)
    model = load_model(settings.model_dir, settings.cpus)
    scorer = _scorer(settings)
    log.info("smoke: %s", smoke.check(model, settings.model_dir, settings.smoke))
    baseline = _baseline(settings.model_dir / ARTIFACT_BASELINE)
    return Loaded(Engine(model, settings.model, settings.version, signer, baseline), signer, scorer)


def _signer(path: Path | None) -> Signer:
    if path is None:
        log.warning("no feedbackKeyFile: tokens of this process are of use to no other, and to none after it")
        return Signer(os.urandom(2 * MIN_KEY_BYTES))
    try:
        return Signer(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"feedbackKeyFile {path}: {error}") from error


def _scorer(settings: Settings) -> Scorer:
    if settings.loss is not LossName.MODEL:
        return Scorer(built_in(settings.loss, settings.pinball_quantile))
    path = settings.model_dir / ARTIFACT_LOSS
    if not path.is_file():
        raise ModelUnusable(f"the loss is Model, and version {settings.version} has no {ARTIFACT_LOSS}")
    return Scorer(_tried(load_loss(path), path), own=int(settings.version))


def _tried(loss: Loss, path: Path) -> Loss:
    try:
        shape = loss([0.0, 1.0], [0.0, 1.0]).shape
    except Exception as error:
        raise ModelUnusable(f"{path}: can't score two rows: {error}") from error
    if shape != np.shape([0.0, 1.0]):
        raise ModelUnusable(f"{path}: gives {shape} losses for two rows")
    return loss


def _baseline(path: Path) -> Baseline | None:
    if not path.exists():
        return None
    try:
        return read_baseline(path)
    except DataError as error:
        raise ModelUnusable(f"{error}; train again, or register the version without it") from error


async def serve(settings: Settings, loaded: Loaded, state: State) -> None:
    """Serves until SIGTERM or SIGINT, then drains; returns when the last request was answered."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    with new_pool(settings.cpus) as pool:
        api = _api(settings, loaded, state, pool)
        server = Server(api.handle)
        listener = await loop.create_server(server, port=settings.port, backlog=_BACKLOG)
        reaper = asyncio.create_task(server.reap())
        state.become_ready()
        log.info("serving %s version %s on port %d", settings.model, settings.version, settings.port)
        await stop.wait()
        await _drain(api, listener, settings.drain_seconds)
        reaper.cancel()
        await server.shutdown(timeout=1.0)
        await api.desk.peers.close()


def _api(settings: Settings, loaded: Loaded, state: State, pool: ThreadPoolExecutor) -> Api:
    path = f"/v2/models/{settings.model}/feedback"
    peers = Peers(parse_names(settings.peers, PORT_HTTP), settings.port, path)
    ledger = Ledger(loaded.scorer, settings.duplicate_window_rows)
    metrics = Metrics(settings.version, settings.digest, loaded.engine.histograms, ledger)
    state.metrics = metrics.text
    limits = Limits(settings.max_body_bytes, settings.max_requests_per_connection)
    return Api(loaded.engine, Desk(ledger, loaded.signer, peers), metrics, state, limits, pool)


async def _drain(api: Api, listener: asyncio.Server, seconds: float) -> None:
    """Not ready from now on, but at work until the Services have noticed and the last request is answered."""
    api.state.drain()
    log.info("draining: serving for another %g s", seconds)
    await asyncio.sleep(seconds)
    listener.close()
    await api.idle.wait()
    log.info("drained")
