"""When the next day may come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .service import Json, ReplayError

CATCH_UP_SECONDS = 900.0
CYCLE_SECONDS = 2400.0
ROLLOUT_SECONDS = 1.5
POLL_SECONDS = 0.5


class Watch(Protocol):
    """Status of the policy and of the deployment."""

    def policy(self) -> Json: ...
    def deployment(self) -> Json: ...


class Pace:
    """Decides when the next day may come."""

    def __init__(self, watch: Watch, sleep: Callable[[float], None] = time.sleep) -> None:
        self._watch = watch
        self._sleep = sleep

    def catch_up(self, labels: int) -> None:
        """Wait until the policy has looked at all labels told so far, and until no training or gate is under way."""
        self._wait(lambda: evaluated_rows(self._watch.policy()) >= labels, CATCH_UP_SECONDS, f"{labels} evaluated rows")
        self._wait(lambda: not self._stands_still(), CYCLE_SECONDS, "the end of a training and its gate")

    def let_rollout_decide(self) -> None:
        """During a rollout, before each day: the deployment reads the same metrics as the policy, a moment later."""
        self._sleep(ROLLOUT_SECONDS)

    def rollout_under_way(self) -> bool:
        return self._watch.deployment().get("candidate") is not None

    def _stands_still(self) -> bool:
        """Whether a cycle is under way whose version takes no requests yet: until then they would all go to the old."""
        cycle = self._watch.policy().get("cycle")
        if cycle is None:
            return False
        candidate = self._watch.deployment().get("candidate") or {}
        return cycle["phase"] != "Rollout" or not candidate.get("readyReplicas")

    def _wait(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        for _ in range(int(seconds / POLL_SECONDS)):
            if done():
                return
            self._sleep(POLL_SECONDS)
        summary = self._watch.policy().get("summary", "nothing")
        raise ReplayError(f"waited {seconds:.0f} s for {what}; the policy says: {summary}")


def evaluated_rows(policy: Mapping[str, Any]) -> int:
    """How many labelled rows the policy has looked at."""
    return int(policy.get("evaluated", {}).get("rows", 0))
