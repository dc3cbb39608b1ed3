from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster import bring_up, leftovers
from e2e.install import install, provide_images
from e2e.scenarios import faults, loop, market
from e2e.scenarios.lines import Lines, train_lines
from e2e.scenarios.stage import Scene, Stage
from e2e.scenarios.system import System

# Fixtures whose scene begins before the first test, if any of the selected tests asks for it.
SCENES: dict[str, Scene] = {
    "failing": faults.play,
    "lines": lambda system: train_lines(
        system, "serving", first={"slope": "2"}, second={"slope": "3"}, wrong={"slope": "3", "recorded": "7"}
    ),
    "short_loop": loop.play,
    "other_market": market.play,
    "more_lines": lambda system: train_lines(system, "outages", first={"slope": "2"}, second={"slope": "3"}),
}


@pytest.fixture(scope="session")
def system(pytestconfig: pytest.Config) -> Iterator[System]:
    """One cluster with modelcycle on it; afterwards nothing of it is left."""
    name = pytestconfig.getoption("cluster")
    cluster = bring_up(name)
    images = provide_images(cluster)
    install(cluster, images)
    system = System(cluster, images)
    system.clear()
    yield system
    if not pytestconfig.getoption("keep_cluster"):
        cluster.down()
        assert leftovers(name) == []


@pytest.fixture(scope="session")
def stage(request: pytest.FixtureRequest, system: System) -> Iterator[Stage]:
    asked_for = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    stage = Stage(system, {name: scene for name, scene in SCENES.items() if name in asked_for})
    yield stage
    stage.close()


@pytest.fixture(scope="session")
def failing(stage: Stage) -> faults.Failing:
    found: Any = stage.seen("failing")
    assert isinstance(found, faults.Failing)
    return found


@pytest.fixture(scope="session")
def lines(stage: Stage) -> Lines:
    """Three versions of a line, of which ``wrong`` answers its recorded rows otherwise than recorded."""
    found: Any = stage.seen("lines")
    assert isinstance(found, Lines)
    return found


@pytest.fixture(scope="session")
def more_lines(stage: Stage) -> Lines:
    """Two versions of another line, for whoever takes something away from everybody."""
    found: Any = stage.seen("more_lines")
    assert isinstance(found, Lines)
    return found


@pytest.fixture(scope="session")
def short_loop(stage: Stage) -> loop.Loop:
    found: Any = stage.seen("short_loop")
    assert isinstance(found, loop.Loop)
    return found


@pytest.fixture(scope="session")
def other_market(stage: Stage) -> market.OtherMarket:
    found: Any = stage.seen("other_market")
    assert isinstance(found, market.OtherMarket)
    return found
