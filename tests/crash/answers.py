"""What the proxy answers in the place of a server, and what it makes of a server's answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.crash.faults import INSTEAD, Fault

JSON_TYPE = "application/json"
PAGE = b"<html><body>The gateway is in a bad mood. Please log in.</body></html>"
RETRY_AFTER_SECONDS = 1
_KUBE = {409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}
_MLFLOW = {
    409: "RESOURCE_CONFLICT",
    410: "GONE",
    429: "REQUEST_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def instead(side: str, fault: Fault) -> Answer:
    """The status that ``fault`` is about, in the words of that side."""
    status = INSTEAD[fault]
    headers = {"Content-Type": JSON_TYPE}
    if fault is Fault.THROTTLED:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Answer(status, json.dumps(_said(side, status)).encode(), headers)


def _said(side: str, status: int) -> dict[str, Any]:
    message = "a fault of this test"
    match side:
        case "kube":
            failure = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}
            return failure | {"reason": _KUBE[status], "code": status}
        case "mlflow":
            return {"error_code": _MLFLOW[status], "message": message}
        case _:
            return {"status": "error", "errorType": "internal", "error": message}


def spoilt(fault: Fault | None, answer: Answer) -> Answer:
    """A page in the place of the answer, or its first half."""
    match fault:
        case Fault.GARBAGE:
            return Answer(200, PAGE, {"Content-Type": "text/html"})
        case Fault.TRUNCATED:
            return Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers)
        case _:
            return answer


def told(line: bytes, fault: Fault | None) -> Sequence[bytes]:
    """The lines that a watch tells in the place of one."""
    match fault:
        case Fault.DROPPED:
            return ()
        case Fault.DUPLICATED:
            return line, line
        case _:
            return (line,)


def version_of(line: bytes) -> int | None:
    """The resourceVersion of a watch's line that tells of an object; None for bookmarks and errors."""
    told_of = json.loads(line)
    if told_of["type"] not in ("ADDED", "MODIFIED", "DELETED"):
        return None
    return int(told_of["object"]["metadata"]["resourceVersion"])


def as_of(query: str, versions: Sequence[int], back: int) -> str:
    """A list's ``query`` about the moment ``back`` changes ago; as it is when nothing has changed yet.

    ``versions``: of all changes, in any order.
    """
    parameters = dict(parse_qsl(query))
    known = sorted(set(versions))
    if not known or "continue" in parameters:
        return query
    then = known[max(0, len(known) - 1 - back)]
    return urlencode(parameters | {"resourceVersion": str(then), "resourceVersionMatch": "Exact"})
