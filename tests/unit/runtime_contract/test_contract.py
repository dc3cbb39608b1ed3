from __future__ import annotations

import pytest

from modelcycle import constants
from modelcycle_runtime import contract

SHARED = sorted(name for name in vars(contract) if name.isupper() and hasattr(constants, name))


@pytest.mark.parametrize("name", SHARED)
def test_both_sides_use_the_same_name(name: str) -> None:
    assert getattr(contract, name) == getattr(constants, name)


@pytest.mark.parametrize("prefix", ["ENV_", "METRIC_", "PORT_"])
def test_pods_know_every_name_of_the_operator(prefix: str) -> None:
    assert {n for n in vars(constants) if n.startswith(prefix)} <= set(vars(contract))
