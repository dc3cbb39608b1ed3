"""What a ModelDeployment's fields change, at rest and in rollouts that go well and badly."""

from __future__ import annotations

import pytest

from tests.transitions.check import Findings
from tests.transitions.deployments import SCENES
from tests.transitions.map_deployment import MAP

pytestmark = pytest.mark.timeout(1800)  # a minute of work, and machines that have other things to do


def test_exactly_what_is_mapped_changes() -> None:
    findings = Findings(MAP)
    for scene in SCENES:
        findings.play(scene)
    assert findings.wrong == []
    assert findings.unseen(MAP.leaves) == []
    assert findings.played > 1000
