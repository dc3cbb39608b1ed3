"""Carries loads out, one after the other."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np

from modelcycle_client.bench import search
from modelcycle_client.bench.bodies import Message, grpc_message, how_many, http_message, made_up
from modelcycle_client.bench.runs import Run, read_run, sustained
from modelcycle_client.bench.target import Target
from modelcycle_client.errors import ClientError, ConnectFailed, GarbledAnswer, InvalidInput
from modelcycle_client.protocol import model_path, read_metadata

METADATA_SECONDS = 10.0


class NoCore(ClientError):
    """The compiled core is not here; the message says where it is."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all loads of one measurement. Times in seconds."""

    connections: int = 64
    seconds: float = 10.0
    warm_up: float = 2.0
    timeout: float = 10.0
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Content:
    """What to send: files as they are, arrays of a file, or made-up rows of what the model takes."""

    bodies: tuple[Path, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    arrays: Path | None = None
    rows: int = 1
    length: int = 16
    """Of the sizes that vary beside the first one."""
    binary: bool = True


Progress = Callable[[str, Mapping[str, Any]], None]
"""Gets the run's name, and what it has found so far: seconds, planned, good, failed, p50 and p99 in microseconds."""


def messages(target: Target, content: Content, seed: int) -> list[Message]:
    """The requests of a load, which are sent in turns.

    Raises:
        ClientError: there is nothing to make them of.
    """
    if content.bodies:
        return [([*content.headers], path.read_bytes()) for path in content.bodies]
    if target.model is None:
        raise InvalidInput(
            f"which model? Say --model NAME, or http://{target.authority}/v2/models/NAME; or give --body"
        )
    if content.arrays is not None:
        with np.load(content.arrays, allow_pickle=False) as arrays:
            return [_message(target, content, dict(arrays))]
    metadata = read_metadata(_get(f"http://{target.authority}{model_path(target.model)}"))
    rng = np.random.default_rng(seed)
    first = _message(target, content, made_up(metadata, content.rows, content.length, rng))
    others = range(how_many(len(first[1])) - 1)
    return [first, *(_message(target, content, made_up(metadata, content.rows, content.length, rng)) for _ in others)]


def _message(target: Target, content: Content, inputs: Mapping[str, Any]) -> Message:
    if target.is_grpc:
        headers, body = grpc_message(target.model or "", inputs)
    else:
        headers, body = http_message(inputs, binary=content.binary)
    return [*headers, *content.headers], body


def _get(url: str) -> bytes:
    try:
        with urlopen(url, timeout=METADATA_SECONDS) as answer:  # noqa: S310 its scheme is http
            return bytes(answer.read())
    except HTTPError as error:
        raise GarbledAnswer(f"{url}: {error.code}: {error.read(200).decode(errors='replace')}") from error
    except OSError as error:
        raise ConnectFailed(f"{url}: {error}") from error


class Bench:
    """Loads for one target with the same requests."""

    def __init__(self, target: Target, requests: Sequence[Message], settings: Settings, progress: Progress) -> None:
        try:
            self._load = import_module("modelcycle_core").load
        except ImportError as error:
            raise NoCore(
                "the load generator is compiled: it is in the serving image, and where `make core` has built it"
            ) from error
        self._target, self._requests, self._settings, self._progress = target, list(requests), settings, progress

    def run(self, rate: float | None) -> Run:
        """One load, open with a rate, and closed without.

        Raises:
            ConnectFailed: nobody listens there.
        """
        settings, target = self._settings, self._target
        name = "closed loop" if rate is None else f"{rate:,.0f}/s"
        try:
            found = self._load(
                authority=target.authority,
                grpc=target.is_grpc,
                path=target.path,
                requests=self._requests,
                connections=settings.connections,
                rate=rate,
                warm_up=settings.warm_up,
                seconds=settings.seconds,
                timeout=settings.timeout,
                seed=settings.seed,
                progress=lambda told: self._progress(name, told),
            )
        except ConnectionError as error:
            raise ConnectFailed(str(error)) from error
        return read_run(
            found,
            rate=rate,
            connections=settings.connections,
            seconds=settings.seconds,
            is_grpc=target.is_grpc,
        )

    def find(self, p99_ms: float) -> tuple[list[Run], float | None]:
        """Runs on the way to the greatest rate that is carried with a p99 of at most ``p99_ms``, and that rate.

        None where the generator did not keep up with a rate: what the server would have done is not known then.
        """
        return search.find(self.run, lambda run: sustained(run, p99_ms))


class Lines:
    """Progress for people: a line of a terminal that changes, or one every few seconds."""

    SECONDS = 5.0

    def __init__(self, write: Callable[[str], object], *, is_terminal: bool) -> None:
        self._write, self._is_terminal = write, is_terminal
        self._last = -math.inf

    def __call__(self, name: str, told: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if not told["seconds"] or now - self._last < (0.5 if self._is_terminal else self.SECONDS):
            return  # connections are being opened, or the last line is new
        self._last = now
        text = f"{name}: {told['seconds']:.0f} s, {told['good']:,} answered, {told['failed']:,} not"
        if told["good"]:
            text += f", p50 {told['p50'] / 1e3:.2f} ms, p99 {told['p99'] / 1e3:.2f} ms"
        self._write(f"\r{text}\x1b[K" if self._is_terminal else f"{text}\n")

    def end(self) -> None:
        if self._is_terminal:
            self._write("\r\x1b[K")


def as_json(url: str, runs: Sequence[Run], capacity: float | None) -> str:
    return json.dumps({"url": url, "runs": [run.record() for run in runs], "capacity": capacity}, indent=1)
