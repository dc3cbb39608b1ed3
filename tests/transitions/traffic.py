"""What Prometheus tells of a deployment: requests and latencies of a step, labelled rows, bins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from modelcycle import constants as names
from modelcycle.deployment.metrics import BUCKETS
from modelcycle.metricstore.load import WINDOW_SECONDS, Load
from modelcycle.metricstore.port import MetricQuery, Reading, Series
from tests.check.state import moment

BOUNDS = (0.005, 0.01, 0.025, 0.1, 1.0)


@dataclass(frozen=True, slots=True)
class Live:
    """What a version did since its step began. ``slow``: so many of its requests took ``seconds``, the others 4 ms."""

    requests: int = 300
    errors: int = 0
    slow: int = 0
    seconds: float = 0.08
    losses: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """Labelled rows that came in a tick. ``bins``: how the features and predictions of as many were distributed."""

    version: str
    tick: int
    rows: int
    loss: float
    bins: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """``in_flight``: requests in all pods together, all the time."""

    live: tuple[tuple[str, Live], ...] = tuple((str(version), Live()) for version in range(1, 10))
    rows: tuple[Rows, ...] = ()
    in_flight: float = 9.0


def load(told: Telemetry) -> Load:
    """As the pods of version 1 tell it, which serves in most scenes."""
    return Load((("1", told.in_flight),), told.in_flight, WINDOW_SECONDS, 1000)


def answer(query: MetricQuery, told: Telemetry, tick: int) -> Reading:
    """The reading of ``query`` in a tick."""
    start, now = float(query.start or 0), moment(tick).timestamp()
    if query.query.startswith(BUCKETS) or names.METRIC_REQUESTS in query.query:
        series = tuple(_of_step(query, told, start, now))
    else:
        series = tuple(_of_rows(query, told, tick))
    kept = tuple(Series(one.labels, tuple(p for p in one.points if p[0] >= start)) for one in series)
    return Reading(now, tuple(one for one in kept if one.points), start, float(query.step_seconds or 1))


# --- a step ----------------------------------------------------------------------------------------------------------
def _of_step(query: MetricQuery, told: Telemetry, start: float, now: float) -> Iterator[Series]:
    """Counters that began with the range: whatever a version did, it did since."""
    for version, live in told.live:
        for labels, value in _counted(version, live, is_latency=query.query.startswith(BUCKETS)):
            yield Series(tuple(sorted(labels.items())), ((start, 0.0), (now, float(value))))


def _counted(version: str, live: Live, *, is_latency: bool) -> Iterator[tuple[dict[str, str], float]]:
    if is_latency:
        for bound in BOUNDS:
            slow = live.slow if live.seconds <= bound else 0
            yield {"version": version, "le": str(bound)}, live.requests - live.slow + slow
        yield {"version": version, "le": "+Inf"}, live.requests
        return
    yield {"__name__": names.METRIC_REQUESTS, "version": version, "code": "200"}, live.requests - live.errors
    yield {"__name__": names.METRIC_REQUESTS, "version": version, "code": "500"}, live.errors
    yield {"__name__": names.METRIC_FEEDBACK_ROWS, "version": version}, len(live.losses)
    yield {"__name__": names.METRIC_LOSS_POSITIVE, "version": version}, sum(x for x in live.losses if x > 0)
    yield {"__name__": names.METRIC_LOSS_NEGATIVE, "version": version}, -sum(x for x in live.losses if x < 0)
    yield {"__name__": names.METRIC_LOSS_SQUARED, "version": version}, sum(x * x for x in live.losses)


# --- labelled rows ---------------------------------------------------------------------------------------------------
def _of_rows(query: MetricQuery, told: Telemetry, tick: int) -> Iterator[Series]:
    baseline = next((one for one in _BASELINES if one in query.query), None)
    if baseline is not None:
        now = moment(tick).timestamp()
        for number in range(2):
            yield Series(tuple(sorted({_BASELINES[baseline]: "one", "bin": str(number)}.items())), ((now, 500.0),))
        return
    for version in sorted({one.version for one in told.rows}):
        mine = tuple(one for one in told.rows if one.version == version)
        bins = next((one for one in _BINS if one in query.query), None)
        if bins is not None:
            if f'version="{version}"' in query.query:
                yield from _binned(mine, _BINS[bins], tick)
            continue
        yield _series(tick, mine, lambda one: float(one.rows), __name__=names.METRIC_FEEDBACK_ROWS, version=version)
        yield _series(tick, mine, _positive, __name__=names.METRIC_LOSS_POSITIVE, version=version)
        yield _series(tick, mine, _negative, __name__=names.METRIC_LOSS_NEGATIVE, version=version)
        if any(one.tick <= tick for one in mine):
            now = moment(tick).timestamp()
            latest = moment(max(one.tick for one in mine if one.tick <= tick)).timestamp()
            yield Series((("__name__", names.METRIC_WATERMARK), ("version", version)), ((now, latest),))


_BASELINES = {names.METRIC_BASELINE_FEATURE_BINS: "feature", names.METRIC_BASELINE_PREDICTION_BINS: "output"}
_BINS = {names.METRIC_FEATURE_BINS: "feature", names.METRIC_PREDICTION_BINS: "output"}


def _positive(one: Rows) -> float:
    return one.rows * max(one.loss, 0.0)


def _negative(one: Rows) -> float:
    return one.rows * max(-one.loss, 0.0)


def _binned(mine: tuple[Rows, ...], label: str, tick: int) -> Iterator[Series]:
    """Predictions move less than features do: by half."""
    for number in range(2):

        def amount(one: Rows, number: int = number) -> float:
            share = one.bins[number] / sum(one.bins)
            return one.rows * (share if label == "feature" else (share + 0.5) / 2)

        yield _series(tick, mine, amount, **{label: "one", "bin": str(number)})


def _series(tick: int, mine: tuple[Rows, ...], amount: Callable[[Rows], float], **labels: str) -> Series:
    points = tuple(
        (moment(number).timestamp(), sum(amount(one) for one in mine if one.tick <= number))
        for number in range(tick + 1)
    )
    return Series(tuple(sorted(labels.items())), points)
