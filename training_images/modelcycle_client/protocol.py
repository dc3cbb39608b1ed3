"""Requests of the Open Inference Protocol v2 as bytes, and what its answers say. Pure: both clients use it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from numpy.typing import ArrayLike, NDArray

from modelcycle_client.errors import (
    BadRequest,
    Busy,
    DeadlineExceeded,
    GarbledAnswer,
    InvalidInput,
    NotServed,
    Refused,
    ServerFault,
)
from modelcycle_client.tensors import Encoded, Tensor, decode_data, decode_raw, encode

JSON_LENGTH = "Inference-Header-Content-Length"
EventTime = datetime | str
"""RFC 3339, or a datetime with a time zone."""


@dataclass(frozen=True, slots=True)
class Request:
    """A body in parts, which need no joining to be sent."""

    headers: Mapping[str, str]
    parts: tuple[bytes | memoryview, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """What a request says beside its tensors."""

    outputs: tuple[str, ...] | None = None
    """Those wanted, in this order; all where there are none."""
    event_time: EventTime | Sequence[EventTime] | None = None
    """Of the whole request, or one for each row; now where there is none."""
    priority: int | None = None
    """The smaller the sooner."""
    request_id: str | None = None
    binary: bool = True


@dataclass(frozen=True, slots=True)
class Answer(Mapping[str, NDArray[Any]]):
    """Outputs by name, and which version they are of.

    Arrays of a binary answer are views of what came, and can't be written to.
    """

    model: str
    version: str
    outputs: Mapping[str, NDArray[Any]]
    tokens: tuple[str, ...] = ()
    """One for each row, to give a label back with; none where the model's answers can't be scored."""
    request_id: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.outputs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.outputs)

    def __len__(self) -> int:
        return len(self.outputs)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A size of -1 varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a model takes and gives."""

    name: str
    versions: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


def model_path(model: str, version: str | None = None) -> str:
    suffix = "" if version is None else f"/versions/{quote(version, safe='')}"
    return f"/v2/models/{quote(model, safe='')}{suffix}"


def infer_request(inputs: Mapping[str, ArrayLike | Tensor], options: Options, timeout: float | None) -> Request:
    """A request for inference; ``timeout`` in seconds is what is left of the caller's.

    Raises:
        InvalidInput: there is no datatype for an input, or an event time has no zone.
    """
    if not inputs:
        raise InvalidInput("inputs: there is none")
    tensors = [encode(name, values) for name, values in inputs.items()]
    head: dict[str, Any] = {"inputs": [_input(tensor, binary=options.binary) for tensor in tensors]}
    if options.request_id is not None:
        head["id"] = options.request_id
    if options.outputs is not None:
        head["outputs"] = [{"name": name, "parameters": {"binary_data": options.binary}} for name in options.outputs]
    parameters = _parameters(options, timeout)
    if parameters:
        head["parameters"] = parameters
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    if not options.binary:
        return Request({"Content-Type": "application/json"}, (text,))
    headers = {"Content-Type": "application/octet-stream", JSON_LENGTH: str(len(text))}
    return Request(headers, (text, *(tensor.raw() for tensor in tensors)))


def _input(tensor: Encoded, *, binary: bool) -> dict[str, Any]:
    if not binary:
        return {**tensor.head(), "data": tensor.data()}
    size = sum(4 + len(text) for text in tensor.array.flat) if tensor.datatype == "BYTES" else tensor.array.nbytes
    return {**tensor.head(), "parameters": {"binary_data_size": size}}


def _parameters(options: Options, timeout: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if options.binary and options.outputs is None:
        found["binary_data_output"] = True
    if timeout is not None:
        found["timeout"] = max(1, int(timeout * 1e6))
    if options.priority is not None:
        found["priority"] = options.priority
    if isinstance(options.event_time, (str, datetime)):
        found["event_time"] = _rfc3339(options.event_time)
    elif options.event_time is not None:
        found["event_time"] = [_rfc3339(time) for time in options.event_time]
    return found


def _rfc3339(time: EventTime) -> str:
    if isinstance(time, str):
        return time
    if time.tzinfo is None:
        raise InvalidInput(f"event_time: {time.isoformat()} has no time zone")
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_answer(headers: Mapping[str, str], body: bytes) -> Answer:
    """An answer to inference; ``headers`` finds names in any case.

    Raises:
        GarbledAnswer: it is none.
    """
    length = headers.get(JSON_LENGTH)
    cut = len(body) if length is None else _length(length, len(body))
    record = read_json(body[:cut] if cut < len(body) else body)
    tail = memoryview(body)[cut:]
    try:
        outputs: dict[str, NDArray[Any]] = {}
        for output in record["outputs"]:
            name, datatype, shape = str(output["name"]), str(output["datatype"]), [int(n) for n in output["shape"]]
            size = output.get("parameters", {}).get("binary_data_size")
            if size is None:
                outputs[name] = decode_data(name, datatype, shape, output["data"])
            else:
                outputs[name] = decode_raw(name, datatype, shape, _head(tail, name, size))
                tail = tail[size:]
        parameters = dict(record.get("parameters", {}))
        tokens = tuple(str(token) for token in parameters.pop("feedback_token", ()))
        return Answer(
            str(record["model_name"]), str(record["model_version"]), outputs, tokens, record.get("id"), parameters
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswer(f"no answer to inference: {type(error).__name__}: {error}") from error


def _length(text: str, most: int) -> int:
    if not text.isdecimal() or int(text) > most:
        raise GarbledAnswer(f"{JSON_LENGTH} is {text}, the body has {most} bytes")
    return int(text)


def _head(tail: memoryview, name: str, size: int) -> memoryview:
    if not 0 <= size <= len(tail):
        raise GarbledAnswer(f"output {name}: has {size} bytes, {len(tail)} came")
    return tail[:size]


def read_json(body: bytes) -> dict[str, Any]:
    """The JSON object that ``body`` is.

    Raises:
        GarbledAnswer: it is none.
    """
    try:
        record = json.loads(body)
    except ValueError as error:
        raise GarbledAnswer(f"the answer is not JSON: {error}: {body[:80]!r}") from error
    if not isinstance(record, dict):
        raise GarbledAnswer(f"the answer is no JSON object: {body[:80]!r}")
    return record


def read_metadata(body: bytes) -> Metadata:
    """What a model takes and gives.

    Raises:
        GarbledAnswer: it is none.
    """
    record = read_json(body)
    try:
        return Metadata(
            str(record["name"]),
            tuple(str(version) for version in record.get("versions") or ()),
            tuple(_spec(one) for one in record["inputs"]),
            tuple(_spec(one) for one in record["outputs"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GarbledAnswer(f"no metadata of a model: {type(error).__name__}: {error}") from error


def _spec(record: Mapping[str, Any]) -> TensorSpec:
    return TensorSpec(str(record["name"]), str(record["datatype"]), tuple(int(size) for size in record["shape"]))


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> Refused | DeadlineExceeded:
    """The exception for an answer that is not 200."""
    message = _message(body)
    if status in (408, 504):
        return DeadlineExceeded(f"{status}: {message}")
    if status in (429, 503):
        return Busy(status, message, _seconds(headers.get("Retry-After")))
    if status in (404, 405):
        return NotServed(status, message)
    return (BadRequest if 400 <= status < 500 else ServerFault)(status, message)


def _message(body: bytes) -> str:
    """The text of ``{"error": text}``, or the beginning of what a proxy says instead."""
    try:
        return str(read_json(body)["error"])
    except (GarbledAnswer, KeyError):
        return body[:200].decode(errors="replace") or "without a message"


def _seconds(text: str | None) -> float | None:
    """Of a Retry-After. A date, which the protocol allows too, counts as none."""
    return float(text) if text is not None and text.strip().isdecimal() else None
