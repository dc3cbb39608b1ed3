"""From the answers of four queries to the load of each deployment."""

from __future__ import annotations

import pytest

from modelcycle.metricstore.load import Load, loads, questions
from modelcycle.metricstore.port import MetricQuery, Reading, Series

ASKED = questions("default", 5)
HEDGE = ("quant", "hedge")


def reading(*values: tuple[dict[str, str], float]) -> Reading:
    return Reading(100.0, tuple(Series(tuple(sorted(labels.items())), ((100.0, value),)) for labels, value in values))


def of(deployment: tuple[str, str], **more: str) -> dict[str, str]:
    return {"namespace": deployment[0], "deployment": deployment[1], **more}


def answers(**given: Reading) -> dict[MetricQuery, Reading]:
    usual = {
        "tracks": reading((of(HEDGE, version="1"), 1.5), (of(HEDGE, version="2"), 0.25)),
        "peaks": reading((of(HEDGE), 3.0)),
        "points": reading((of(HEDGE), 20.0)),
        "pods": reading((of(HEDGE), 4.0)),
    }
    return {getattr(ASKED, name): found for name, found in (usual | given).items()}


def test_the_load_of_a_deployment() -> None:
    (load,) = loads(ASKED, answers()).values()
    assert load == Load((("1", 1.5), ("2", 0.25)), 3.0, 300, 4)
    assert (load.now, load.of("2"), load.of("3")) == (1.75, 0.25, 0.0)


@pytest.mark.parametrize("lacking", ["tracks", "peaks", "points", "pods"])
def test_half_of_a_load_is_none(lacking: str) -> None:
    assert loads(ASKED, answers(**{lacking: reading()})) == {}


def test_everybody_has_their_own() -> None:
    other = ("risk", "hedge")
    both = answers(
        tracks=reading((of(HEDGE, version="1"), 1.0), (of(other, version="7"), 5.0)),
        peaks=reading((of(HEDGE), 1.0), (of(other), 6.0)),
        points=reading((of(HEDGE), 20.0), (of(other), 3.0)),
        pods=reading((of(HEDGE), 1.0), (of(other), 2.0)),
    )
    assert loads(ASKED, both) == {HEDGE: Load((("1", 1.0),), 1.0, 300, 1), other: Load((("7", 5.0),), 6.0, 45, 2)}


def test_noise_is_no_news() -> None:
    first, second = (
        loads(ASKED, answers(tracks=reading((of(HEDGE, version="1"), value)))) for value in (1.7012, 1.7048)
    )
    assert first == second


@pytest.mark.parametrize(
    ("scrape_seconds", "mean"),
    [
        pytest.param(5, "[60s]", id="a minute"),
        pytest.param(30, "[120s]", id="four scrapes"),
    ],
)
def test_a_mean_is_of_several_scrapes(scrape_seconds: int, mean: str) -> None:
    assert all(mean in query.query for query in questions("default", scrape_seconds).all())


def test_the_questions_are_the_same_for_every_deployment() -> None:
    queries = questions("default", 5).all()
    assert len(set(queries)) == 4
    assert not any('namespace="' in query.query for query in queries)
