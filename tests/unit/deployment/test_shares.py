"""How many pods each version gets."""

from __future__ import annotations

from typing import Any

import pytest

from modelcycle.api.v1alpha1.deployment import Candidate, DeploymentSpec, DeploymentStatus, Purpose, ServedVersion
from modelcycle.deployment.shares import Shares, shares, split


@pytest.mark.parametrize(
    ("total", "percent", "expected"),
    [
        pytest.param(1, 50, (1, 1), id="one replica: one more while it is tried"),
        pytest.param(2, 50, (1, 1), id="half of two"),
        pytest.param(2, 1, (1, 1), id="at least one"),
        pytest.param(10, 5, (9, 1), id="at least one of ten"),
        pytest.param(10, 25, (7, 3), id="rounded up"),
        pytest.param(10, 100, (1, 10), id="all: the stable version keeps one"),
        pytest.param(3, 50, (1, 2), id="odd"),
        pytest.param(1000, 33, (670, 330), id="many"),
    ],
)
def test_split(total: int, percent: int, expected: tuple[int, int]) -> None:
    assert split(total, percent) == Shares(*expected)


STEPS = {
    "steps": [
        {"name": "smoke", "smoke": {}},
        {"name": "tenth", "replicas": {"percent": 10}},
        {"name": "half", "replicas": {"percent": 50}},
    ]
}
SPEC = DeploymentSpec.model_validate({"model": {"name": "m"}, "replicas": 10, "rollout": STEPS})
STABLE = ServedVersion(version="1")


def candidate(step: int, purpose: Purpose = Purpose.TRIAL) -> Candidate:
    return Candidate(version="2", step=step, purpose=purpose)


@pytest.mark.parametrize(
    ("status", "ready", "expected"),
    [
        pytest.param({}, 0, (0, 0), id="nothing"),
        pytest.param({"stable": STABLE}, 0, (10, 0), id="at rest"),
        pytest.param({"candidate": candidate(0, Purpose.BOOTSTRAP)}, 0, (0, 10), id="the first version starts at full"),
        pytest.param({"stable": STABLE, "candidate": candidate(0)}, 0, (10, 1), id="smoke takes nothing away"),
        pytest.param({"stable": STABLE, "candidate": candidate(0)}, 1, (10, 1), id="nor when it is ready"),
        pytest.param({"stable": STABLE, "candidate": candidate(1)}, 1, (9, 1), id="a tenth, ready"),
        pytest.param({"stable": STABLE, "candidate": candidate(2)}, 1, (9, 5), id="half, one is ready"),
        pytest.param({"stable": STABLE, "candidate": candidate(2)}, 5, (5, 5), id="half, all are ready"),
        pytest.param({"stable": STABLE, "candidate": candidate(3)}, 5, (5, 5), id="waiting for approval"),
        pytest.param({"stable": STABLE, "candidate": candidate(0, Purpose.PIN)}, 1, (10, 1), id="a pin on its way"),
    ],
)
def test_shares(status: dict[str, Any], ready: int, expected: tuple[int, int]) -> None:
    assert shares(SPEC, DeploymentStatus(**status), ready) == Shares(*expected)
