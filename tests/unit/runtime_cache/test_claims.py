from __future__ import annotations

import pytest

from modelcycle_runtime.cache.claims import Claims, claim_seconds


@pytest.mark.parametrize(
    ("size", "seconds"),
    [
        pytest.param(0, 15.0, id="empty"),
        pytest.param(80 << 20, 25.0, id="80 MiB"),
        pytest.param(1 << 50, 600.0, id="never for ever"),
    ],
)
def test_how_long_somebody_is_waited_for(size: int, seconds: float) -> None:
    assert claim_seconds(size) == seconds


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_one_brings_it_and_the_others_wait() -> None:
    claims = Claims()
    assert claims.take("a", 1)
    assert [claims.take("a", 1) for _ in range(9)] == [False] * 9
    assert claims.take("b", 1), "another file is another matter"


def test_when_it_was_brought_it_can_be_missing_anew() -> None:
    claims = Claims()
    claims.take("a", 1)
    claims.end("a")
    assert claims.take("a", 1)


def test_who_never_comes_back_is_not_waited_for() -> None:
    clock = Clock()
    claims = Claims(clock)
    claims.take("a", 0)
    clock.now = 14.9
    assert not claims.take("a", 0)
    clock.now = 15.1
    assert claims.take("a", 0)
