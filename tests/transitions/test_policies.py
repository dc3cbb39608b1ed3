"""What a RetrainPolicy's fields change, while it watches and in each phase of a cycle."""

from __future__ import annotations

import pytest

from tests.transitions.check import Findings
from tests.transitions.map_policy import MAP
from tests.transitions.policies import SCENES

pytestmark = pytest.mark.timeout(1800)  # a minute of work, and machines that have other things to do


def test_exactly_what_is_mapped_changes() -> None:
    findings = Findings(MAP)
    for scene in SCENES:
        findings.play(scene)
    assert findings.wrong == []
    assert findings.unseen(MAP.leaves) == []
    assert findings.played > 500
