"""How many pods a load asks for, and what becomes of the number while the load is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelcycle.deployment.scaling import Demand, needed, needed_by_both, replicas
from modelcycle.metricstore.load import WINDOW_SECONDS, Load
from tests.unit.deployment.world import World

FOUR = Demand(pods=4, per_pod=1.0, stable=4.0, candidate=0.0, peak=4.0, share=None, may_shrink=True)


@pytest.mark.parametrize(
    ("load", "per_pod", "pods", "wanted"),
    [
        pytest.param(4.0, 1.0, 4, 4, id="just right"),
        pytest.param(4.3, 1.0, 4, 4, id="within the tolerance"),
        pytest.param(4.5, 1.0, 4, 5, id="above it"),
        pytest.param(3.6, 1.0, 4, 4, id="below, within it"),
        pytest.param(3.5, 1.0, 4, 4, id="no whole pod less"),
        pytest.param(2.9, 1.0, 4, 3, id="one pod less"),
        pytest.param(0.0, 1.0, 4, 0, id="nothing to do: the bounds decide"),
        pytest.param(4.0, 0.7, 4, 6, id="another aim"),
        pytest.param(100.0, 0.5, 1, 200, id="far away"),
    ],
)
def test_pods_for_a_load(load: float, per_pod: float, pods: int, wanted: int) -> None:
    assert needed(load, per_pod, pods) == wanted


@pytest.mark.parametrize(
    ("stable", "candidate", "share", "wanted"),
    [
        pytest.param(9.0, 9.0, None, 0, id="nothing to judge by itself"),
        pytest.param(2.0, 2.0, 50, 4, id="halves"),
        pytest.param(2.0, 4.0, 50, 7, id="a candidate that takes twice as long has what it needs, and no larger share"),
        pytest.param(8.0, 0.5, 10, 9, id="a tenth is one pod"),
        pytest.param(3.0, 2.5, 25, 9, id="a quarter of nine are three"),
        pytest.param(9.0, 6.0, 100, 6, id="all of it: pods on their way out are not judged"),
        pytest.param(900.0, 900.0, 50, 50, id="no more than there may be"),
    ],
)
def test_each_version_has_what_it_needs_at_the_share_of_its_step(
    stable: float, candidate: float, share: int | None, wanted: int
) -> None:
    demand = replace(FOUR, stable=stable, candidate=candidate, share=share)
    assert needed_by_both(demand, 50) == wanted


@pytest.mark.parametrize(
    ("demand", "wanted"),
    [
        pytest.param({}, 4, id="nothing to change"),
        pytest.param({"stable": 6.0, "peak": 6.0}, 6, id="up at once"),
        pytest.param({"stable": 30.0, "peak": 30.0}, 8, id="twice as many at most"),
        pytest.param({"pods": 1, "stable": 30.0, "peak": 30.0}, 5, id="or four more"),
        pytest.param({"stable": 6.0, "peak": 6.0, "may_shrink": False}, 6, id="up on what little is known"),
        pytest.param({"stable": 1.0, "peak": 4.0}, 4, id="not down while the last minutes needed them"),
        pytest.param({"stable": 1.0, "peak": 2.5}, 3, id="down to what the last minutes needed"),
        pytest.param({"stable": 1.0, "peak": 1.0, "may_shrink": False}, 4, id="not down on what little is known"),
        pytest.param({"stable": 0.0, "peak": 0.0}, 2, id="not below the fewest"),
        pytest.param({"pods": 9, "stable": 50.0, "peak": 50.0}, 10, id="not above the most"),
        pytest.param({"stable": 2.0, "candidate": 4.0, "share": 50, "peak": 6.0}, 7, id="the version that needs more"),
    ],
)
def test_the_next_number_of_pods(demand: dict[str, Any], wanted: int) -> None:
    assert replicas(replace(FOUR, **demand), fewest=2, most=10) == wanted


# --- with a deployment -----------------------------------------------------------------------------------------------
def load(now: float, *, peak: float | None = None, seconds: int = WINDOW_SECONDS, pods: int = 100) -> Load:
    return Load((("1", now),), now if peak is None else peak, seconds, pods)


def scaled(**more: Any) -> World:
    """Two pods that serve, six at most, one request in flight aimed at in each."""
    world = World()
    world.load = load(2.0)
    return world.serving("1", replicas=2, autoscaling={"maxReplicas": 6, "inFlight": "1"}, **more)


def reason(world: World) -> str:
    assert world.status.autoscaled is not None
    return world.status.autoscaled.reason


def test_without_autoscaling_nobody_asks_for_a_load() -> None:
    world = World().serving("1")
    assert world.status.autoscaled is None
    assert world.pods == {"1": 2}


def test_more_requests_in_flight_get_more_pods_and_lose_them_again() -> None:
    world = scaled()
    assert world.pods == {"1": 2}
    world.load = load(4.5)
    world.tick(15)
    world.tick(15)
    assert world.pods == {"1": 5}
    assert world.told("Scaled") == 1
    world.load = load(1.0, peak=4.5)
    world.settle(10)
    assert world.pods == {"1": 5}, "the last five minutes needed them"
    world.load = load(1.0)
    world.settle(3)
    assert world.pods == {"1": 2}
    assert world.told("Scaled") == 2


def test_a_load_that_stays_costs_no_write() -> None:
    world = scaled()
    before = world.writes
    world.settle(20)
    assert world.writes == before


def test_what_is_not_known_changes_nothing() -> None:
    world = scaled()
    world.load = load(4.5)
    world.settle(5)
    assert world.pods == {"1": 5}
    world.load, world.prometheus_up = load(0.0), False
    world.settle(60)
    assert (world.pods, reason(world)) == ({"1": 5}, "Unknown")
    assert "requests in flight are not known" in world.status.summary
    before = world.writes
    world.settle(10)
    assert world.writes == before, "said once"
    world.prometheus_up = True
    world.settle(5)
    assert (world.pods, reason(world)) == ({"1": 2}, "Load")


def test_pods_that_nobody_counts_are_not_idle() -> None:
    world = scaled()
    world.load = load(4.5)
    world.settle(5)
    world.load = None
    world.settle(30)
    assert (world.pods, reason(world)) == ({"1": 5}, "Unknown")


@pytest.mark.parametrize(
    "little",
    [
        pytest.param(load(1.0, seconds=120), id="for two minutes only"),
        pytest.param(load(1.0, pods=4), id="of four of five pods"),
    ],
)
def test_no_pod_goes_on_half_of_the_truth(little: Load) -> None:
    world = scaled()
    world.load = load(4.5)
    world.settle(5)
    world.load = little
    world.settle(30)
    assert world.pods == {"1": 5}


def test_a_change_is_followed_by_a_load_that_was_measured_after_it() -> None:
    world = scaled()
    world.document["autoscaling"] = {"maxReplicas": 50, "inFlight": "1"}
    world.load = load(40.0)
    seen: list[int] = []
    for _ in range(8):
        world.tick(15)
        seen.append(world.pods["1"])
    assert sorted(set(seen)) == [2, 6, 12, 24, 40]


def test_a_rollout_keeps_its_share_while_the_number_grows() -> None:
    world = scaled()
    world.load = Load((("1", 4.0),), 4.0, WINDOW_SECONDS, 100)
    world.settle(5)
    assert world.pods == {"1": 4}
    world.challenge("2")
    world.until("half")
    world.load = Load((("1", 1.0), ("2", 3.0)), 4.0, WINDOW_SECONDS, 100)
    world.settle(60)
    assert world.pods == {"1": 2, "2": 3}, "three for version 2, which is slow, and no larger share for it than half"
    before = world.writes
    world.settle(20)
    assert world.writes == before


def test_a_new_champion_begins_with_as_many_pods_as_the_old_one_had() -> None:
    world = scaled()
    world.load = load(4.5)
    world.settle(5)
    world.challenge("2")
    world.until("half")
    world.answered()
    world.load = Load((("1", 2.2), ("2", 2.3)), 4.5, WINDOW_SECONDS, 100)
    world.settle(20)
    assert world.stable == "2"
    assert world.pods == {"2": 5}


def test_a_floor_that_is_raised_by_hand_counts_at_once() -> None:
    world = scaled()
    world.document["replicas"] = 5
    world.tick()
    assert world.pods == {"1": 5}


def test_without_autoscaling_any_more_the_number_is_that_of_the_spec() -> None:
    world = scaled()
    world.load = load(4.5)
    world.settle(5)
    del world.document["autoscaling"]
    world.settle(3)
    assert (world.pods, world.status.autoscaled) == ({"1": 2}, None)
