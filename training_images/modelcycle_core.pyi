"""The serving path in Rust: sources in ``training_images/serving/core``, built by ``make core``."""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

Datatype = str
"""By its name in the Open Inference Protocol."""
Tensor = tuple[Datatype, Sequence[int], bytes | Sequence[bytes]]
"""Datatype, shape, and the elements' bytes, little-endian; one ``bytes`` an element where they are texts (BYTES)."""
Spec = tuple[str, Datatype, list[int | str | None]]
"""Name, datatype and sizes: a number, the name of one that varies, or None."""
Cumulative = tuple[list[tuple[float, int]], float]
"""The bounds of a histogram with the counts up to each, the last infinite; and the sum."""

def available_providers(library: str | PathLike[str]) -> list[str]:
    """Names of the execution providers that ONNX Runtime's ``library`` was built with.

    Raises:
        RuntimeError: it can't be opened.
    """

class Engine:
    """A loaded model; it may be run from several threads at once."""

    def __new__(
        cls,
        library: str | PathLike[str],
        model: str | PathLike[str],
        threads: int,
        providers: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    ) -> Engine:
        """Load ``model`` by ONNX Runtime's ``library``, with ``threads`` threads for one run.

        ``providers`` are names of execution providers and their options; the CPU runs what they can't.

        Raises:
            RuntimeError: ONNX Runtime refuses it.
        """

    def inputs(self) -> list[Spec]: ...
    def outputs(self) -> list[Spec]: ...
    def run(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Answers, one for each output; ``inputs`` in the order of the model's.

        Raises:
            RuntimeError: ONNX Runtime refuses them.
        """

    def calibrate(self, sample: Sequence[Tensor] | None) -> Plan:
        """Try batches of all sizes, which warms the model up; with the rows of ``sample``, or made-up ones.

        Raises:
            RuntimeError: ONNX Runtime refuses them.
        """

    def throughput(self, sample: Sequence[Tensor] | None, rows: int, runners: int) -> float:
        """Rows a second of ``runners`` at once, each with batches of ``rows`` rows.

        Raises:
            RuntimeError: ONNX Runtime refuses them.
        """

class Plan:
    """How a model is best run."""

    @property
    def most_rows(self) -> int:
        """Rows of requests that share a run; with 1 each request has a run of its own."""

    @property
    def is_short(self) -> bool:
        """Whether a run of so many is over so soon that it may run on the thread of the connections."""

class Server:
    """A server of one version of one model: it listens from construction until :meth:`close`."""

    def __new__(
        cls,
        engine: Engine,
        plan: Plan,
        *,
        model: str,
        version: int,
        key: bytes,
        port: int,
        workers: int,
        runners: int,
        max_body_bytes: int,
        max_requests_per_connection: int,
        columns: Sequence[str],
        features: Sequence[tuple[str, Sequence[float], bool]],
        predictions: Sequence[tuple[int, Sequence[float]]],
        traced: float | None,
        logged: float | None,
    ) -> Server:
        """Listen with ``workers`` threads for connections, and ``runners`` for a model that has threads of its own.

        ``columns`` are the names of the features of a model with one input, in its order; empty where nothing names
        them. ``features`` are name, edges, and whether it was null at training, in the model's order; ``predictions``
        the place of an output and its edges. ``traced`` is the share of requests that is traced where callers don't
        say, ``logged`` that of those whose payloads are kept; None tells of none.

        Raises:
            OSError: the port is taken.
        """

    @property
    def port(self) -> int: ...
    def drain(self) -> None:
        """Say from now on that it is not ready, but work as before."""

    def close(self) -> None:
        """Take no further request, and return when the last is answered."""

    def next_feedback(self) -> Feedback | None:
        """The next feedback, waited for; None once the server is closed."""

    def next_spans(self, seconds: float, resource: Sequence[tuple[str, str]]) -> tuple[bytes, int] | None:
        """A request to an OTLP receiver with the spans of so many requests, waited for; None once the server is closed.

        ``resource`` are OpenTelemetry's names and values of the server.
        """

    def next_payloads(self, seconds: float) -> tuple[bytes, int] | None:
        """Lines of JSON, one for each of so many requests, waited for; None once the server is closed."""

    def traced(self) -> tuple[int, int]:
        """Requests whose spans were kept for :meth:`next_spans`, and dropped since there was no room."""

    def logged(self) -> tuple[int, int]:
        """The same of :meth:`next_payloads`."""

    def requests(self) -> list[tuple[int, int]]:
        """Inference requests by status code, of those that were answered."""

    def in_flight(self) -> int:
        """Inference requests under way."""

    def rejected(self) -> list[tuple[str, int]]:
        """Requests that were turned away or given up, by reason."""

    def request_seconds(self) -> Cumulative: ...
    def queue_seconds(self) -> Cumulative: ...
    def batch_rows(self) -> Cumulative: ...
    def feature_bins(self) -> list[list[int]]:
        """Counts by feature and bin, of the first 64 features; empty where the baseline is another model's."""

    def prediction_bins(self) -> list[list[int]]:
        """Counts by bin, for each of the predictions."""

class Feedback:
    """The body of feedback that waits for its answer."""

    @property
    def body(self) -> bytes: ...
    @property
    def handed_over(self) -> bool: ...
    def answer(self, status: int, body: bytes) -> None:
        """Send status and JSON; once."""

def load(
    *,
    authority: str,
    grpc: bool,
    path: str,
    requests: Sequence[tuple[Sequence[tuple[str, str]], bytes]],
    connections: int,
    rate: float | None,
    warm_up: float,
    seconds: float,
    timeout: float,
    seed: int,
    progress: Callable[[Mapping[str, Any]], object],
) -> dict[str, Any]:
    """Put the server at ``authority`` (``HOST:PORT``) under load, by a thread of its own.

    ``requests`` are headers and bodies, sent in turns; over gRPC a body is a message. With a ``rate`` they are planned
    as Poisson arrivals, and latencies count from there; without, each connection sends its next one when answered.
    Times are in seconds, found ones in microseconds; ``modelcycle_client.bench.runs`` reads what was found.
    ``progress`` is called ten times a second.

    Raises:
        ConnectionError: the server can't be reached.
        ValueError: there is no request or no connection, or the rate is no number above 0.
    """
