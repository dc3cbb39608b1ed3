"""What the server is told: the JSON of ``MODELCYCLE_SERVE``. Only ``modelDir`` has no default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelcycle_runtime.contract import PORT_HTTP, PORT_METRICS
from modelcycle_runtime.errors import UserError
from modelcycle_runtime.losses import LossName
from modelcycle_runtime.serve.providers import Accelerator

MIN_LOG_BYTES = 2**21
"""Half of it holds the longest line."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far an answer may be from its record: ``absolute + relative * |record|``."""

    absolute: float = 1e-4
    relative: float = 1e-3


@dataclass(frozen=True, slots=True)
class Traces:
    """Where spans go, and the share of requests that is traced whose callers don't say."""

    endpoint: str
    sample_ratio: float


@dataclass(frozen=True, slots=True)
class PayloadLog:
    """Where a share of the requests is written with its answers, in a file and the one before it."""

    path: Path
    sample_ratio: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Settings:
    model_dir: Path
    model: str = "model"
    version: str = "1"
    digest: str = ""
    deployment: str = ""
    feedback_key_file: Path | None = None
    """None makes a key of its own: tokens then die with the process."""
    peers: str = ""
    loss: LossName = LossName.SQUARED
    pinball_quantile: float = 0.5
    duplicate_window_rows: int = 100_000
    max_requests_per_connection: int = 100
    max_body_bytes: int = 16 * 2**20
    drain_seconds: float = 15.0
    smoke: Tolerance = Tolerance()
    traces: Traces | None = None
    payload_log: PayloadLog | None = None
    cpus: int = 1
    accelerator: Accelerator = Accelerator.AUTO
    cache_dir: Path = Path("/tmp/modelcycle")  # noqa: S108 the one folder that pods can write to
    """For what execution providers make of a model."""
    port: int = PORT_HTTP
    metrics_port: int = PORT_METRICS


def parse_settings(text: str) -> Settings:
    """The settings in the JSON ``text``.

    Raises:
        UserError: it is no such JSON; the message names the field.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise UserError(f"MODELCYCLE_SERVE is not JSON: {error}") from error
    if not isinstance(record, dict) or not isinstance(record.get("modelDir"), str):
        raise UserError("MODELCYCLE_SERVE needs modelDir, the folder of a fetched version")
    return Settings(**{name: _field(record, key, convert) for name, (key, convert) in _FIELDS.items() if key in record})


def _field(record: Mapping[str, Any], key: str, convert: Any) -> Any:  # noqa: ANN401
    try:
        return convert(record[key])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"MODELCYCLE_SERVE: {key}: {record[key]!r} can't be used: {error}") from error


def _version(value: Any) -> str:  # noqa: ANN401
    if not 0 < int(value) < 2**32:
        raise ValueError("a version is a whole number from 1")
    return str(int(value))


def _tolerance(value: Mapping[str, str]) -> Tolerance:
    return Tolerance(float(value["absoluteTolerance"]), float(value["relativeTolerance"]))


def _ratio(value: str) -> float:
    ratio = float(value)
    if not 0 <= ratio <= 1:
        raise ValueError("sampleRatio is a number from 0 to 1")
    return ratio


def _traces(value: Mapping[str, str] | None) -> Traces | None:
    if value is None:
        return None
    endpoint = value["endpoint"]
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError("endpoint is the http or https address of an OTLP receiver, as http://collector:4318")
    return Traces(endpoint, _ratio(value["sampleRatio"]))


def _payload_log(value: Mapping[str, Any] | None) -> PayloadLog | None:
    if value is None:
        return None
    log = PayloadLog(Path(value["path"]), _ratio(value["sampleRatio"]), int(value["maxBytes"]))
    if not log.path.is_absolute() or log.max_bytes < MIN_LOG_BYTES:
        raise ValueError(f"path is absolute, and maxBytes at least {MIN_LOG_BYTES}")
    return log


def _key_file(value: str | None) -> Path | None:
    return None if value is None else Path(value)


_FIELDS: dict[str, tuple[str, Any]] = {
    "model_dir": ("modelDir", Path),
    "model": ("model", str),
    "version": ("version", _version),
    "digest": ("digest", str),
    "deployment": ("deployment", str),
    "feedback_key_file": ("feedbackKeyFile", _key_file),
    "peers": ("peers", str),
    "loss": ("loss", LossName),
    "pinball_quantile": ("pinballQuantile", float),
    "duplicate_window_rows": ("duplicateWindowRows", int),
    "max_requests_per_connection": ("maxRequestsPerConnection", int),
    "max_body_bytes": ("maxBodyBytes", int),
    "drain_seconds": ("drainSeconds", float),
    "smoke": ("smoke", _tolerance),
    "traces": ("traces", _traces),
    "payload_log": ("payloadLog", _payload_log),
    "cpus": ("cpus", int),
    "accelerator": ("accelerator", Accelerator),
    "cache_dir": ("cacheDir", Path),
    "port": ("port", int),
    "metrics_port": ("metricsPort", int),
}
