"""What the summary and the column READY say, state by state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.deployment.histories import rolling
from tests.unit.deployment.world import World


def in_half() -> World:
    return rolling().until("half")


def just_switched() -> World:
    world = rolling()
    world.answered()
    while world.stable == "1":
        world.tick()
    return world


def switched() -> World:
    world = just_switched()
    world.settle()
    return world


def pinned_to(version: str, ticks: int = 15) -> Callable[[], World]:
    def world() -> World:
        world = World().serving()
        world.document["model"]["version"] = version
        for _ in range(ticks):
            world.tick()
        return world

    return world


@pytest.mark.parametrize(
    ("state", "summary"),
    [
        pytest.param(lambda: World().serving(), "Version 1 serves (2 pods ready, 2 wanted).", id="at rest"),
        pytest.param(
            in_half,
            "Version 1 serves (1 pod ready, 1 wanted), version 2 is tried (1 pod ready, 1 wanted).",
            id="in a step of half",
        ),
        pytest.param(
            just_switched,
            "Version 2 serves (1 pod ready, 2 wanted), version 1 retires (1 pod ready, 0 wanted).",
            id="just switched",
        ),
        pytest.param(switched, "Version 2 serves (2 pods ready, 2 wanted).", id="after the switch"),
        pytest.param(pinned_to("2"), "Version 2 serves (pinned, 2 pods ready, 2 wanted).", id="pinned"),
    ],
)
def test_the_summary_says_of_each_version_what_is_true(state: Callable[[], World], summary: str) -> None:
    world = state()
    for _ in range(2 if world.candidate else 0):
        world.tick()
    assert world.status.summary.startswith(summary)
    assert world.message("Ready") in f"v{summary[1:]}"


@pytest.mark.parametrize(
    ("state", "ready", "stalled"),
    [
        pytest.param(pinned_to("2"), "True/Serving", "False/NotStalled", id="the pinned version serves"),
        pytest.param(pinned_to("99"), "False/VersionNotFound", "True/VersionNotFound", id="there is no such version"),
        pytest.param(pinned_to("2", ticks=2), "False/RollingOut", "False/NotStalled", id="it is on its way"),
    ],
)
def test_ready_means_that_the_version_serves_that_should(state: Callable[[], World], ready: str, stalled: str) -> None:
    world = state()
    assert (world.condition("Ready"), world.condition("Stalled")) == (ready, stalled)
    assert world.status.ready_replicas, "what serves goes on"
