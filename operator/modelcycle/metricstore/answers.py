"""Prometheus' answers, read: strings become numbers, what is no number is left out, what is partial is an error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from modelcycle.core.text import clip
from modelcycle.errors import ModelcycleError, Unavailable, Unusable
from modelcycle.metricstore.port import Series
from modelcycle.outside import HttpAnswer, failure

# Some versions of Prometheus report notes on the query's style among the warnings.
NOTE = "PromQL info:"


def series_of(answer: HttpAnswer) -> tuple[Series, ...]:
    """The series of an answer; without finite samples a series is left out, like one that does not exist.

    Raises ``Unusable`` (QueryInvalid) for a query that can't be answered, ``Refused``, and ``Unavailable`` when the
    answer is partial or not Prometheus'.
    """
    payload = answer.json
    fields = payload if isinstance(payload, dict) else {}
    if answer.status != 200 or fields.get("status") != "success":
        raise _error(answer, fields)
    warnings = [text for text in map(str, fields.get("warnings") or ()) if not text.startswith(NOTE)]
    if warnings:
        raise Unavailable(f"{answer.asked}: the answer may be partial: {clip('; '.join(warnings), 400)}")
    try:
        return tuple(series for series in _parsed(fields["data"]) if series.points)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Unavailable(f"{answer.asked}: not an answer of Prometheus: {answer.excerpt}") from error


def _error(answer: HttpAnswer, fields: Mapping[str, Any]) -> ModelcycleError:
    if fields.get("status") != "error":
        return failure(answer, None) if answer.status != 200 else _foreign(answer)
    said = f"{fields.get('errorType', 'error')}: {fields.get('error', '')}"
    if answer.status in (400, 422):
        return Unusable("QueryInvalid", str(failure(answer, said)))
    return failure(answer, said)


def _foreign(answer: HttpAnswer) -> Unavailable:
    return Unavailable(f"{answer.asked}: not an answer of Prometheus: {answer.excerpt}; check the endpoint's url")


def _parsed(data: Mapping[str, Any]) -> Iterable[Series]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return [Series((), _points([result]))]
    if kind == "vector":
        return [Series(_labels(one), _points([one["value"]] if "value" in one else [])) for one in result]
    if kind == "matrix":
        return [Series(_labels(one), _points(one.get("values", []))) for one in result]
    raise ValueError(f"resultType {kind!r}")


def _labels(one: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(name), str(value)) for name, value in one["metric"].items()))


def _points(samples: Iterable[tuple[float, str]]) -> tuple[tuple[float, float], ...]:
    points = ((float(time), float(value)) for time, value in samples)
    return tuple(point for point in points if math.isfinite(point[1]))
