"""One request to the model: from the JSON of the protocol to arrays, through ONNX Runtime, and back.

:class:`Engine` knows nothing of HTTP. ONNX Runtime releases the interpreter, so that answers are made in a small pool
of threads; all that is counted is counted on the event loop, and needs no lock.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

from modelcycle_runtime.bins import Baseline
from modelcycle_runtime.model import Array, Model, feature_columns, one_number_a_row
from modelcycle_runtime.serve import tensors
from modelcycle_runtime.serve.errors import BadRequest
from modelcycle_runtime.serve.histograms import Histograms
from modelcycle_runtime.serve.tokens import Signer
from modelcycle_runtime.table import nanoseconds

LONGEST_AHEAD = 86_400 * 1_000_000_000
"""An event time further in the future than this many nanoseconds would move the watermark for good: refused."""
_MIN_THREADS = 2
_RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was checked as far as that goes without the model's answer."""

    id: str | None
    feeds: dict[str, Array]
    outputs: list[int]
    rows: int
    event_times: list[int]


class Engine:
    """Answers requests to one version of one model."""

    def __init__(self, model: Model, name: str, version: str, signer: Signer, baseline: Baseline | None) -> None:
        self.model, self.name, self.version = model, name, version
        self.histograms = Histograms(model, baseline)
        self._signer = signer
        self._nulls = self.histograms.columns_with_nulls(baseline)

    def parse(self, body: bytes) -> Request:
        """The request in ``body``.

        Raises:
            BadRequest: with the field that is wrong.
        """
        try:
            record = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"body: not JSON: {error}") from error
        if not isinstance(record, dict):
            raise BadRequest("body: must be an object with inputs")
        feeds = tensors.decode_inputs(self.model.inputs, record.get("inputs"))
        rows = _rows(feeds)
        parameters = record.get("parameters") or {}
        if not isinstance(parameters, dict):
            raise BadRequest("parameters: must be an object")
        id_ = record.get("id")
        if id_ is not None and not isinstance(id_, str):
            raise BadRequest("id: must be a text")
        outputs = tensors.chosen_outputs(self.model.outputs, record.get("outputs"))
        return Request(id_, feeds, outputs, rows, event_times(parameters.get("event_time"), rows))

    async def answer(self, request: Request, pool: ThreadPoolExecutor) -> bytes:
        """The response's JSON.

        Raises:
            BadRequest: the model can't take these values.
        """
        columns = feature_columns(self.model, request.feeds)
        self._check_nulls(columns)
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(pool, self.model.run, request.feeds)
        except InvalidArgument as error:
            raise BadRequest(f"inputs: the model can't take them: {error}") from error
        self.histograms.count(columns, answers)
        return self._encode(request, answers)

    def _check_nulls(self, columns: NDArray[np.float64]) -> None:
        if self._nulls is None or columns.shape[1] != len(self._nulls):
            return
        wrong = np.isnan(columns).any(axis=0) & ~self._nulls
        if wrong.any():
            name = self.histograms.feature_names[int(wrong.argmax())]
            raise BadRequest(f"inputs: {name} is null, and never was in the training data")

    def _encode(self, request: Request, answers: Sequence[Array]) -> bytes:
        outputs = [tensors.encode_output(self.model.outputs[i], answers[i]) for i in request.outputs]
        response: dict[str, Any] = {"model_name": self.name, "model_version": self.version, "outputs": outputs}
        if request.id is not None:
            response["id"] = request.id
        predictions = one_number_a_row(answers, request.rows)
        if predictions is not None:
            tokens = self._signer.sign(int(self.version), request.event_times, predictions.tolist())
            response["parameters"] = {"feedback_token": tokens}
        return orjson.dumps(response, option=orjson.OPT_SERIALIZE_NUMPY)


def new_pool(cpus: int) -> ThreadPoolExecutor:
    """Threads that wait for ONNX Runtime: at least two, so that one slow request does not hold up the next."""
    return ThreadPoolExecutor(max(cpus, _MIN_THREADS), thread_name_prefix="model")


def _rows(feeds: Mapping[str, Array]) -> int:
    first = next(iter(feeds.values()), None)
    return len(first) if first is not None and first.ndim else 1


def event_times(sent: Any, rows: int) -> list[int]:  # noqa: ANN401
    """Nanoseconds since 1970, one for each row, of ``parameters.event_time``: nothing (now), one text, or one a row.

    Raises:
        BadRequest: it is something else, or more than a day ahead of now.
    """
    now = time.time_ns()
    if sent is None:
        return [now] * rows
    if isinstance(sent, str):
        return [_event_time(sent, now)] * rows
    if not isinstance(sent, list) or len(sent) != rows:
        raise BadRequest(f"parameters.event_time: must be an RFC 3339 text, or a list of {rows}")
    return [_event_time(one, now) for one in sent]


def _event_time(sent: Any, now: int) -> int:  # noqa: ANN401
    try:
        # A table's times may be dates, and without an offset; here nobody could see what was made of them.
        found = nanoseconds(sent) if isinstance(sent, str) and _RFC_3339.fullmatch(sent) else None
    except ValueError:
        found = None
    if found is None:
        raise BadRequest(
            f"parameters.event_time: {str(sent)[:64]!r} is no RFC 3339 time: "
            "date, time and offset, for example 2009-08-14T20:00:00Z"
        )
    if found > now + LONGEST_AHEAD:
        raise BadRequest(f"parameters.event_time: {sent} is more than a day ahead")
    return found
