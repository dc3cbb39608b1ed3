"""Counts of a replay: Prometheus learns of its last requests a scrape later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from e2e.demo import collect

Counts = dict[str, int]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "POLL_SECONDS", 0.0)


def looks(*counts: Counts) -> Iterator[Counts]:
    yield from counts


def test_the_counts_are_waited_for_until_each_has_all_days() -> None:
    seen = looks(
        {"requests": 88, "labels": 90},
        {"requests": 90, "labels": 89},
        {"requests": 90, "labels": 90},
        {"requests": 99, "labels": 99},
    )
    assert collect.settled(lambda: next(seen), 90) == {"requests": 90, "labels": 90}


def test_what_never_comes_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "SCRAPED_SECONDS", 0.0)
    assert collect.settled(lambda: {"requests": 90, "labels": 88}, 90) == {"requests": 90, "labels": 88}
