"""At rest the operator writes nothing but its Lease, also when it looks at everything again."""

from __future__ import annotations

import json
import time
from collections import Counter

from e2e.scenarios.loop import Loop
from e2e.scenarios.market import OtherMarket
from e2e.scenarios.stage import Stage
from e2e.scenarios.system import Json, System, eventually, until_equal

SECONDS = 60
SETTLED_SECONDS = 15
REST_SECONDS = 900
RANGES_SECONDS = 900
HANGUP = "import os, signal; os.kill(1, signal.SIGHUP)"


def test_at_rest_nothing_is_written_but_the_lease(
    system: System, stage: Stage, short_loop: Loop, other_market: OtherMarket
) -> None:
    stage.wait()
    until_rest(system)
    since = time.time()
    time.sleep(SECONDS)
    assert system.writes(since) == []
    assert_lease_is_held(system, since)


def test_a_forced_look_at_everything_writes_nothing_either(
    system: System, stage: Stage, short_loop: Loop, other_market: OtherMarket
) -> None:
    stage.wait()
    until_rest(system)
    keys = Counter(one["kind"] for one in everything(system, "mt,md,rp"))
    before, since = system.passes(), time.time()
    system.own.kubectl("exec", system.operator_pod(), "--", "python", "-c", HANGUP)
    eventually("a pass of every key", lambda: system.passes() >= before + keys, 300)
    time.sleep(SETTLED_SECONDS)
    assert system.writes(since) == []


def until_rest(system: System) -> None:
    """Wait until nothing is under way, and nothing is due.

    A policy counts its rows from a base, which it moves nine minutes after it began, and once more after later rows.
    At each quarter of an hour it reads another range of metrics, after a while on a wider grid, on which it may count a
    row more.
    """
    until_equal("policies whose base is still to be moved", lambda: moving(system), [], REST_SECONDS, every=3)
    eventually("a time without new ranges", lambda: time.time() % RANGES_SECONDS < RANGES_SECONDS - 3 * SECONDS, 600)
    until_equal("writes", lambda: system.writes(time.time() - SETTLED_SECONDS), [], REST_SECONDS, every=3)


def moving(system: System) -> list[str]:
    """Policies that have counted rows since their base, or that have none yet."""
    found = [(one["metadata"]["namespace"], one["status"]["evaluated"]) for one in everything(system, "rp")]
    return [
        namespace
        for namespace, evaluated in found
        if "baseTime" not in evaluated or evaluated.get("baseRows", 0) != evaluated.get("rows", 0)
    ]


def everything(system: System, kinds: str) -> list[Json]:
    found: list[Json] = json.loads(system.cluster.kubectl("get", kinds, "--all-namespaces", "-o", "json"))["items"]
    return found


def assert_lease_is_held(system: System, since: float) -> None:
    """The log is not simply empty."""
    assert system.renewals(since) >= SECONDS / 15
