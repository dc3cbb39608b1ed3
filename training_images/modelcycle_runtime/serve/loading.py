"""Loads a version: its model tested and warmed up, its histograms, loss and key."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import modelcycle_core as core
from modelcycle_runtime.bins import Baseline, read_baseline
from modelcycle_runtime.contract import ARTIFACT_BASELINE, ARTIFACT_LOSS
from modelcycle_runtime.errors import DataError, ModelUnusable, UserError
from modelcycle_runtime.losses import Loss, LossName, built_in, load_loss
from modelcycle_runtime.model import recorded_columns
from modelcycle_runtime.serve import smoke
from modelcycle_runtime.serve.engine import CoreModel, available_providers, load_model
from modelcycle_runtime.serve.feedback import Scorer
from modelcycle_runtime.serve.histograms import Histograms, histograms_of
from modelcycle_runtime.serve.providers import CUDA, Accelerator, Provider, choose, has_gpu
from modelcycle_runtime.serve.settings import Settings
from modelcycle_runtime.serve.tokens import MIN_KEY_BYTES, Signer

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Arranged:
    """A version that passed its smoke test and is warmed up, and how it is run."""

    model: CoreModel
    plan: core.Plan
    sample: Sequence[core.Tensor] | None
    """Recorded rows."""
    threads: int
    """Of one run."""
    runners: int = 1
    """Runs at once, where the model has threads of its own."""

    def rows_a_second(self) -> float:
        return self.model.engine.throughput(self.sample, self.plan.most_rows, self.runners)

    def __str__(self) -> str:
        return f"{self.runners} at once with {self.threads} threads each, batches of {self.plan.most_rows} rows"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A version that can be served."""

    arranged: Arranged
    histograms: Histograms
    columns: tuple[str, ...]
    """Names of the features in the order of the one input; empty where nothing names them."""
    key: bytes
    scorer: Scorer
    seconds: float
    """What it took."""


def load(settings: Settings) -> Loaded:
    """Loads, tests and warms up the version.

    Raises:
        ModelUnusable: it can't be loaded.
        SmokeFailed: it answers its records otherwise than at training.
        UserError: the key is missing or too short.
    """
    began = time.monotonic()
    key = _key(settings.feedback_key_file)
    scorer = _scorer(settings)
    baseline = _baseline(settings.model_dir / ARTIFACT_BASELINE)
    arranged = _arranged(settings, _providers(settings))
    columns = _columns(settings.model_dir, baseline)
    histograms = histograms_of(arranged.model.outputs, baseline)
    arranged = replace(arranged, sample=None)
    return Loaded(arranged, histograms, columns, key, scorer, time.monotonic() - began)


def _providers(settings: Settings) -> tuple[Provider, ...]:
    wanted = settings.accelerator
    available = [] if wanted is Accelerator.CPU else available_providers()
    may_have_gpu = CUDA in available and has_gpu()
    chosen = choose(wanted, available, has_gpu=may_have_gpu, cache=settings.cache_dir)
    if chosen:
        (settings.cache_dir / "tensorrt").mkdir(parents=True, exist_ok=True)
        log.info("runs on %s", ", ".join(provider.name for provider in chosen))
    return chosen


def _arranged(settings: Settings, providers: Sequence[Provider]) -> Arranged:
    """The version, run as it answers the most rows a second."""
    one = _tested(settings, 1, providers)
    if one.plan.is_short or settings.cpus == 1 or providers:
        # One thread for each CPU's connections answers the most requests, unless an answer takes long; a GPU has one
        # queue.
        return one
    many = replace(one, runners=settings.cpus)
    rates = {many: many.rows_a_second()}
    shared = _tested(settings, settings.cpus, providers)
    rates[shared] = shared.rows_a_second()
    for arranged, rate in rates.items():
        log.info("%s: %.4g rows a second", arranged, rate)
    return many if prefers_many(rates[many], rates[shared]) else shared


def prefers_many(many: float, shared: float) -> bool:
    """Whether several runs at once on a thread each are worth it, by rows a second of both.

    Runs that share the threads answer a lone request sooner, so that they are kept unless others answer a tenth more.
    """
    return many > 1.1 * shared


def _tested(settings: Settings, threads: int, providers: Sequence[Provider]) -> Arranged:
    model = load_model(settings.model_dir, threads, providers)
    log.info("smoke: %s", smoke.check(model, settings.model_dir, settings.smoke))
    recorded = smoke.recorded_inputs(model, settings.model_dir)
    sample = None if recorded is None else model.tensors(recorded)
    plan = model.engine.calibrate(sample)
    log.info("with %d threads: %s", threads, plan)
    return Arranged(model, plan, sample, threads)


def _key(path: Path | None) -> bytes:
    if path is None:
        log.warning("no feedbackKeyFile: tokens of this process are of use to no other, and to none after it")
        return os.urandom(2 * MIN_KEY_BYTES)
    try:
        return Signer(path.read_bytes()).key
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


def _columns(folder: Path, baseline: Baseline | None) -> tuple[str, ...]:
    try:
        recorded = recorded_columns(folder)
    except DataError as error:
        raise ModelUnusable(f"{error}; train again, or register the version without it") from error
    if recorded is not None:
        return recorded
    return () if baseline is None else tuple(feature.name for feature in baseline.features)
