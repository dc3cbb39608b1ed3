"""At rest the operator writes nothing but its Lease, also when it looks at everything again."""

from __future__ import annotations

import re
import time

from e2e.scenarios.loop import Loop
from e2e.scenarios.market import OtherMarket
from e2e.scenarios.stage import Stage
from e2e.scenarios.system import System, eventually

SECONDS = 60
SETTLED_SECONDS = 15
HANGUP = "import os, signal; os.kill(1, signal.SIGHUP)"


def test_at_rest_nothing_is_written_but_the_lease(
    system: System, stage: Stage, short_loop: Loop, other_market: OtherMarket
) -> None:
    stage.wait()
    eventually("rest", lambda: system.writes(time.time() - SETTLED_SECONDS) == [], 240, every=3)
    since = time.time()
    time.sleep(SECONDS)
    assert system.writes(since) == []
    assert_lease_is_held(system, since)


def test_a_forced_look_at_everything_writes_nothing_either(
    system: System, stage: Stage, short_loop: Loop, other_market: OtherMarket
) -> None:
    stage.wait()
    eventually("rest", lambda: system.writes(time.time() - SETTLED_SECONDS) == [], 240, every=3)
    keys = len(system.cluster.kubectl("get", "mt,md,rp", "--all-namespaces", "-o", "name").split())
    before, since = passes(system), time.time()
    system.own.kubectl("exec", system.operator_pod(), "--", "python", "-c", HANGUP)
    eventually("a pass of every key", lambda: passes(system) >= before + keys, 60)
    time.sleep(SETTLED_SECONDS)
    assert system.writes(since) == []


def passes(system: System) -> float:
    """Of all controllers together, as the operator counts them."""
    pod = f"/api/v1/namespaces/{system.own.namespace}/pods/{system.operator_pod()}:8080/proxy/metrics"
    text = system.cluster.kubectl("get", "--raw", pod)
    counts = re.findall(r"^controller_runtime_reconcile_total\{.*\} (\S+)$", text, re.MULTILINE)
    assert counts, "the operator counts its passes"
    return sum(map(float, counts))


def assert_lease_is_held(system: System, since: float) -> None:
    """The log is not simply empty."""
    assert system.renewals(since) >= SECONDS / 15
