"""What the policy sees: labelled rows, the loss and its reference, schedules, ages, and no answer at all."""

from __future__ import annotations

from datetime import timedelta

import pytest

from modelcycle.api.v1alpha1.retrain_status import LossSource
from tests.unit.retrain.world import BORN, NOW, World, bad_world, served


def test_without_labels_it_is_unknown_and_nothing_starts() -> None:
    world = World()
    world.settle()
    assert world.reason("DriftDetected") == "Unknown/TooFewRows"
    assert world.status.cycle is None


def test_prometheus_down_is_unknown_neither_firing_nor_clear() -> None:
    world = bad_world(mode="Observe")
    world.metrics_error = "connection refused"
    world.settle()
    assert world.reason("DriftDetected") == "Unknown/MetricsUnavailable"
    assert world.status.evaluated.rows == 80, "what was looked at is not forgotten"
    assert world.events.count("MetricsUnavailable") == 1
    world.facts = frozenset()  # the operator is started again
    world.settle()
    assert world.events.count("MetricsUnavailable") == 1


def test_a_good_loss_is_clear() -> None:
    world = World()
    world.settle()
    world.give_rows(80, loss=1.0)
    world.settle()
    assert world.reason("DriftDetected") == "False/AllClear"
    assert (world.status.triggers[0].value, world.status.triggers[0].threshold) == ("1", "1.5")
    assert world.status.cycle is None


def test_the_window_holds_the_latest_rows_only() -> None:
    world = World()
    world.settle()
    for loss in (9.0, 1.0, 1.0, 1.0):
        world.give_rows(30, loss=loss)
    world.settle()
    assert world.status.triggers[0].value == "1"
    assert world.status.triggers[0].rows == 60


def test_rows_served_before_the_promotion_or_by_another_version_do_not_count() -> None:
    world = World()
    world.settle()
    world.give_rows(80, loss=9.0)
    world.give_rows(80, loss=9.0, version="7")
    world.md_status = world.md_status.evolve(stable=served("1", since=world.now + timedelta(seconds=1)))
    world.give_rows(45, loss=1.0)
    world.settle()
    assert (world.status.triggers[0].rows, world.status.triggers[0].value) == (45, "1")
    assert world.status.evaluated.rows == 205


def test_evaluated_rows_never_go_back_and_count_each_row_once_over_hours() -> None:
    world = World()
    world.settle()
    for number in range(1, 200):
        world.give_rows(3, loss=1.0)
        world.now += timedelta(seconds=50)
        world.step()
        world.step()
        assert world.status.evaluated.rows == 3 * number
    assert world.status.evaluated.base_rows > 0


def test_the_watermark_is_the_greatest_event_time_and_never_goes_back() -> None:
    world = World()
    world.settle()
    world.give_rows(3, loss=1.0, event_time=NOW - timedelta(days=5000))
    world.settle()
    world.give_rows(3, loss=1.0, event_time=NOW - timedelta(days=6000))
    world.settle()
    assert world.status.evaluated.watermark == NOW - timedelta(days=5000)


def test_the_reference_loss_comes_from_the_training() -> None:
    trigger = {"name": "loss", "loss": {"window": {"rows": 60}, "reference": "Version", "factorPercent": 150}}
    world = World(triggers=[trigger])
    world.baseline_loss = "1.2"
    world.settle()
    world.give_rows(60, loss=1.7)
    world.settle()
    assert world.status.baseline is not None
    assert world.status.baseline.source is LossSource.TRAINING
    assert world.status.triggers[0].threshold == "1.8"


def test_without_a_baseline_the_first_live_rows_are_the_reference() -> None:
    trigger = {"name": "loss", "loss": {"window": {"rows": 60}, "minRows": 40, "factorPercent": 150}}
    world = World(triggers=[trigger], mode="Observe")
    world.settle()
    world.give_rows(30, loss=1.0)
    world.settle()
    early = world.status.baseline
    for _ in range(5):
        world.give_rows(20, loss=1.0)
        world.settle()
    late = world.status.baseline
    assert early is None
    assert late is not None
    assert (late.source, late.loss) == (LossSource.LIVE, "1")


def test_a_restart_does_not_forget_since_when_a_trigger_fires() -> None:
    world = bad_world(mode="Observe")
    before = world.status.triggers
    world.facts = frozenset()
    world.now += timedelta(seconds=20)
    world.step()
    assert world.status.triggers == before
    world.settle()
    assert world.status.triggers == before
    assert world.events.count("TriggerFiring") == 1


def test_a_trigger_that_fires_is_told_once_also_when_the_status_could_not_be_written() -> None:
    world = World(mode="Observe")
    world.settle()
    world.give_rows(80, loss=2.0)
    before = world.status
    world.step()
    world.status = before
    world.now += timedelta(seconds=5)
    world.settle()
    assert world.events.count("TriggerFiring") == 1


def test_a_schedule_fires_once_for_all_the_times_that_were_missed() -> None:
    trigger = {"name": "weekly", "schedule": {"cron": "0 6 * * 1", "timeZone": "America/New_York"}}
    world = World(triggers=[trigger], cooldown={"time": "1s"})
    world.give_rows(1, loss=1.0)
    plan = world.settle()
    assert world.reason("DriftDetected") == "False/AllClear"
    assert plan.look_again is not None
    world.now += timedelta(days=30)
    world.give_rows(1, loss=1.0)
    world.settle()
    assert world.status.last_cycle == 1
    world.run_cycle()
    world.now += timedelta(days=1)
    world.settle()
    assert world.status.last_cycle == 1


@pytest.mark.parametrize("schedule", [{"cron": "61 * * * *"}, {"cron": "0 6 * * 1", "timeZone": "Mars/Olympus"}])
def test_a_schedule_that_can_not_be_read_is_unknown_and_says_so(schedule: dict[str, str]) -> None:
    world = World(triggers=[{"name": "s", "schedule": schedule}])
    world.settle()
    assert world.reason("DriftDetected") == "Unknown/InvalidSchedule"


def test_an_old_version_fires_by_age_and_is_looked_at_in_time() -> None:
    world = World(triggers=[{"name": "old", "age": {"maxAge": "30d"}}])
    world.give_rows(1, loss=1.0)
    plan = world.settle()
    assert plan.look_again == timedelta(days=30) - (world.now - BORN)
    world.now = BORN + timedelta(days=30)
    world.give_rows(1, loss=1.0)
    world.settle()
    assert world.status.cycle is not None


def test_the_age_is_told_in_tenths_of_its_limit_and_no_more_than_that() -> None:
    """What grows with each look would be written with each look, and each write is a reason to look again."""
    world = World(triggers=[{"name": "old", "age": {"maxAge": "30d"}}], mode="Observe")
    seen = []
    for days in (0.5, 2.9, 3, 29.9, 30, 45):
        world.now = BORN + timedelta(days=days)
        world.settle()
        seen.append(world.status.triggers[0].value)
        status = world.status
        world.now += timedelta(seconds=1)
        assert world.step().status == status, "nothing is new a second later"
    assert seen == ["0", "0", "3", "27", "30", "30"]
