from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from e2e.demo.experiment import START_AS_OF, replayed_days, run_seed
from e2e.demo.fitting import Fit, Fitted, ridge
from e2e.demo.loop import Rules, play, read_rules, retrain, train_first
from e2e.demo.market import day_of, first_row_from, load_market
from e2e.demo.yardsticks import by_quarter, quarter_of, walk_forward
from modelcycle_runtime.table import Table, nanoseconds


@pytest.fixture(scope="module")
def table() -> Table:
    return load_market()


@pytest.fixture(scope="module")
def rules() -> Rules:
    return read_rules()


def test_the_samples_numbers_are_read_from_its_yaml(rules: Rules) -> None:
    assert rules.training_rows == 500
    assert rules.holdout.rows == 60
    assert rules.rollout_requests == 20


def test_a_training_sees_nothing_that_was_not_known_and_not_the_gates_rows(table: Table, rules: Rules) -> None:
    as_of = nanoseconds(START_AS_OF)
    model, withheld = retrain(table, as_of, rules, ridge(table), 0)
    assert model.last == withheld.start
    assert withheld.stop - withheld.start == 60
    assert (table.known[: withheld.stop] <= as_of).all()
    assert table.known[withheld.stop] > as_of
    assert model.last - model.first == 500


def test_the_first_training_keeps_nothing_back(table: Table, rules: Rules) -> None:
    model = train_first(table, nanoseconds(START_AS_OF), rules, ridge(table), 0)
    assert model.last == replayed_days(table).start - 1, "the label of the year's last day comes with the next year"
    assert model.last - model.first == 500


def test_the_label_of_a_day_counts_from_the_next_day_on(table: Table, rules: Rules) -> None:
    """2008-09-22, when oil rose by a sixth, can't be held against the model on that day."""
    days = range(first_row_from(table, "2008-06-01"), first_row_from(table, "2008-12-01"))
    label = np.zeros(len(table))
    shock = first_row_from(table, "2008-09-22")
    label[shock] = 100.0
    quiet = replace(table, label=label)
    played = play(quiet, ridge(quiet), rules, days, seed=0, start_as_of=nanoseconds(START_AS_OF))
    assert [cycle.day for cycle in played.cycles][:1] == [day_of(table, shock + 1)]


def test_the_future_has_no_influence_on_what_was_served_before(table: Table, rules: Rules) -> None:
    """Whatever comes after a day, also labels that would be of great help, changes nothing up to that day."""
    start = first_row_from(table, "2010-04-01")
    days, until = range(start, start + 120), start + 90
    changed = table.label.copy()
    changed[until:] = 100.0
    forged = replace(table, label=changed)
    played = [
        play(one, ridge(one), rules, days, seed=0, start_as_of=nanoseconds(START_AS_OF)) for one in (table, forged)
    ]
    np.testing.assert_array_equal(played[0].predictions[:90], played[1].predictions[:90])
    assert [c for c in played[0].cycles if c.day < day_of(table, until - 1)] == [
        c for c in played[1].cycles if c.day < day_of(table, until - 1)
    ]


def test_a_rollout_shares_the_requests_and_ends_after_as_many_as_its_steps_need(table: Table, rules: Rules) -> None:
    start = first_row_from(table, "2012-05-01")
    played = play(table, ridge(table), rules, range(start, start + 90), seed=0, start_as_of=nanoseconds(START_AS_OF))
    assert len(played.cycles) == 1
    fired = next(i for i in range(90) if day_of(table, start + i) == played.cycles[0].day)
    assert set(played.versions[: fired + 1]) == {1}
    assert sorted(played.versions[fired + 1 : fired + 21]) == [1] * 10 + [2] * 10
    assert set(played.versions[fired + 21 :]) == {2}


def worse(table: Table) -> Fit:
    """A training that gives worse models each time, all but the first."""
    made: list[int] = []

    def fit(first: int, last: int, seed: int) -> Fitted:
        made.append(last)
        return Fitted(first, last, np.full(len(table), 10.0 * (len(made) - 1)))

    return fit


def test_a_worse_challenger_never_serves_and_each_makes_the_next_wait_twice_as_long(table: Table, rules: Rules) -> None:
    days = range(first_row_from(table, "2008-01-01"), first_row_from(table, "2013-01-01"))
    played = play(table, worse(table), rules, days, seed=0, start_as_of=nanoseconds(START_AS_OF))
    assert len(played.cycles) >= 3
    assert set(played.versions) == {1}
    rows = [first_row_from(table, cycle.day) for cycle in played.cycles]
    for place, wait in enumerate([120, 240, 480][: len(rows) - 1]):
        assert rows[place + 1] - rows[place] >= wait


def test_the_weekly_yardstick_knows_no_label_of_the_day_or_the_day_before(table: Table) -> None:
    asked: list[tuple[int, int]] = []

    def fit(first: int, last: int, seed: int) -> Fitted:
        asked.append((first, last))
        return ridge(table)(first, last, seed)

    days = range(1000, 1011)
    walk_forward(table, fit, days)
    assert asked == [(499, 999), (504, 1004), (509, 1009)]


@pytest.mark.parametrize(
    ("day", "quarter"), [("2008-01-02", "2008-Q1"), ("2008-09-30", "2008-Q3"), ("2008-12-31", "2008-Q4")]
)
def test_quarters(day: str, quarter: str) -> None:
    assert quarter_of(day) == quarter


def test_means_by_quarter() -> None:
    found = by_quarter(["2008-01-02", "2008-04-01", "2008-04-02"], {"none": np.array([1.0, 2.0, 4.0])})
    assert found == [
        {"period": "2008-Q1", "days": 1, "none": 1.0},
        {"period": "2008-Q2", "days": 2, "none": 3.0},
    ]


def test_six_years_by_ridge_regression(table: Table, rules: Rules) -> None:
    """The story that the demo tells, whatever its third decimal is."""
    outcome = run_seed(table, ridge(table), rules, 1)
    totals = outcome.totals
    assert len(replayed_days(table)) == 1510
    assert totals["weekly"] < totals["loop"] < totals["none"] < totals["static"]
    assert 3 <= len(outcome.cycles) <= 10
    assert any(cycle.verdict.outcome == "Passed" for cycle in outcome.cycles)
