"""A spec that was wrong and is corrected: nothing of the mistake stays behind."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from modelcycle.api.v1alpha1.common import Condition, ConditionStatus
from modelcycle.api.v1alpha1.deployment import Verdict
from modelcycle.api.v1alpha1.retrain_status import CycleOutcome, Evaluated, RetrainStatus
from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus
from modelcycle.retrain.guards import EPOCH, LONGEST, as_of, cooldown, cooldown_left
from tests.unit.retrain.world import NOW, TEMPLATE, bad_world, spec

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("wanted", "rows", "until", "left"),
    [
        pytest.param({"time": "1d"}, None, NOW + HOUR, (None, NOW + HOUR), id="the same, an hour before its end"),
        pytest.param({"time": "9d"}, None, NOW + HOUR, (None, NOW + HOUR), id="longer: from the next cycle on"),
        pytest.param({"time": "1h"}, None, NOW + 900 * DAY, (None, NOW + HOUR), id="shorter: counts from now on"),
        pytest.param({"time": "1h"}, None, NOW - HOUR, (None, NOW - HOUR), id="over: stays as it was"),
        pytest.param({"rows": 50}, 130, None, (130, None), id="rows, 30 before their end"),
        pytest.param({"rows": 50}, 10_000, None, (150, None), id="fewer rows: counted from now on"),
        pytest.param({"rows": 50}, None, NOW + DAY, (150, None), id="rows instead of a time"),
        pytest.param({"time": "1h"}, 10_000, None, (None, NOW + HOUR), id="a time instead of rows"),
        pytest.param({"time": "1h"}, 100, None, (100, None), id="a time instead of rows that came"),
        pytest.param({"time": "1h"}, None, None, (None, None), id="none so far"),
    ],
)
def test_a_cooldown_that_was_made_shorter(
    wanted: dict[str, Any], rows: int | None, until: datetime | None, left: tuple[int | None, datetime | None]
) -> None:
    status = RetrainStatus(evaluated=Evaluated(rows=100), cooldown_until_rows=rows, cooldown_until=until)
    assert cooldown_left(spec(cooldown=wanted), status, NOW) == left
    again = status.evolve(cooldown_until_rows=left[0], cooldown_until=left[1])
    assert cooldown_left(spec(cooldown=wanted), again, NOW + HOUR / 2) == left, "looking again changes nothing"


def test_a_cooldown_that_was_too_long_by_mistake_is_over_in_time() -> None:
    world = bad_world(cooldown={"time": "9000d"})
    world.run_cycle(Verdict.REJECTED)
    assert world.status.cooldown_until is not None
    assert world.status.cooldown_until > NOW + 9000 * DAY
    world.spec = spec(cooldown={"time": "1h"})
    world.settle()
    assert world.status.cooldown_until == world.now + 2 * HOUR  # doubled, since the last cycle did not help


@pytest.mark.parametrize("failures", [0, 3])
def test_the_longest_cooldown_ends_at_a_date_that_can_be_written(failures: int) -> None:
    assert cooldown(spec(cooldown={"time": "999999d"}), 0, failures, NOW) == (None, NOW + LONGEST)


@pytest.mark.parametrize(
    ("lag", "expected"),
    [
        pytest.param("1d", NOW - DAY, id="a day"),
        pytest.param("999999d", EPOCH, id="the longest that the API server takes"),
    ],
)
def test_the_earliest_as_of_is_a_date_that_can_be_written(lag: str, expected: datetime) -> None:
    assert as_of(spec(asOf={"from": "Clock", "lag": lag}), RetrainStatus(), NOW) == expected
    assert datetime(1970, 1, 1, tzinfo=UTC) == EPOCH


# --- a template that nothing can be trained from ---------------------------------------------------------------------
BAD = TEMPLATE | {"mlflow": "nowhere"}


@pytest.mark.parametrize(
    ("stalled", "template", "outcome"),
    [
        pytest.param(True, TEMPLATE, CycleOutcome.ABORTED, id="stuck, and the template is corrected"),
        pytest.param(True, BAD, None, id="stuck, and the template is the same"),
        pytest.param(True, BAD | {"seed": 3}, CycleOutcome.ABORTED, id="stuck, and the template is another"),
        pytest.param(False, TEMPLATE, None, id="it goes on, and the template is another"),
    ],
)
def test_a_training_that_is_stuck_is_given_up_for_another_template(
    *, stalled: bool, template: dict[str, Any], outcome: CycleOutcome | None
) -> None:
    world = bad_world(template=BAD)
    condition = Condition(type="Stalled", status=ConditionStatus.TRUE, reason="X", last_transition_time=NOW)
    status = TrainingStatus(conditions=(condition,) if stalled else ())
    world.train()
    made = TrainingSpec.model_validate(world.created[-1]["spec"])
    world.trainings = (replace(world.trainings[0], spec=made, status=status),)
    world.spec = spec(template=template)
    world.settle()
    assert [decision.outcome for decision in world.status.history] == ([outcome] if outcome else [])
    assert (world.trainings[0].name in world.deleted) == (outcome is not None)
