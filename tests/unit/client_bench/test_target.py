from __future__ import annotations

import pytest

from modelcycle_client import InvalidInput
from modelcycle_client.bench.target import INFER, Target, parse_target


@pytest.mark.parametrize(
    ("url", "model", "expected"),
    [
        ("http://h", "m", Target("h:80", False, "/v2/models/m/infer", "m")),
        ("http://h:8080/", "a/b", Target("h:8080", False, "/v2/models/a%2Fb/infer", "a/b")),
        ("http://h:8080/v2/models/desk.m", None, Target("h:8080", False, "/v2/models/desk.m/infer", "desk.m")),
        ("http://h:8080/v2/models/a%2Fb/", None, Target("h:8080", False, "/v2/models/a%2Fb/infer", "a/b")),
        ("http://[::1]:8080", "m", Target("[::1]:8080", False, "/v2/models/m/infer", "m")),
        ("http://h", None, Target("h:80", False, "/", None)),
        ("http://h/invocations?a=b", None, Target("h:80", False, "/invocations?a=b", None)),
        ("http://h/v2/models/m/infer", "m", Target("h:80", False, "/v2/models/m/infer", "m")),
        ("grpc://h", "m", Target("h:8080", True, INFER, "m")),
        ("grpc://h", None, Target("h:8080", True, INFER, None)),
        ("grpc://h:8081/v2/models/m", None, Target("h:8081", True, INFER, "m")),
        ("grpc://h:8081/a.B/C", None, Target("h:8081", True, "/a.B/C", None)),
    ],
)
def test_where_a_load_goes(url: str, model: str | None, expected: Target) -> None:
    assert parse_target(url, model) == expected


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://h", "TLS is not spoken"),
        ("h:8080", "must be http://"),
        ("http://", "must be http://"),
    ],
)
def test_where_none_goes(url: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        parse_target(url, None)
