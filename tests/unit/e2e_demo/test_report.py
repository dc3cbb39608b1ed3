from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e2e.demo.report import OUTCOMES, conclude, render_page, render_table, write_report
from e2e.demo.results import SERIES, Results, as_json, assemble, correlations
from modelcycle.api.v1alpha1.retrain_status import CycleOutcome
from modelcycle_runtime.table import Table, TableColumns, nanoseconds

DAYS = 400


def retrain(date: str, verdict: str, version: str | None) -> dict[str, Any]:
    return {
        "number": 1,
        "date": date,
        "trigger": "loss",
        "evidence": {"value": "1.6", "threshold": "1.45", "rows": 60, "detail": None},
        "gate": {"outcome": "Passed", "reason": "Better", "message": "mean loss 1 < 2"} if version else None,
        "verdict": verdict,
        "versions": {"champion": "1", "challenger": version},
    }


@pytest.fixture(scope="module")
def results() -> Results:
    random = np.random.default_rng(0)
    rows = 1000
    time = nanoseconds("2006-01-02") + np.arange(rows) * 86_400 * 10**9
    features = random.normal(size=(rows, 4))
    table = Table(
        columns=TableColumns("time", "oil", ("sp500", "nasdaq", "sp500_before", "nasdaq_before"), "known"),
        time=time,
        known=time + 86_400 * 10**9,
        label=0.5 * features[:, 0] + random.normal(size=rows),
        features=features,
        digests=np.arange(rows, dtype=np.uint64),
    )
    days = range(600, 600 + DAYS)
    return assemble(
        table,
        days,
        static=np.zeros(DAYS),
        loop=0.5 * features[600:, 0],
        versions=["1"] * 200 + ["3"] * 200,
        retrains=[retrain("2007-12-01", "GateRejected", "2"), retrain("2008-03-01", "Promoted", "3")],
        stages={"cluster": 12.3, "replay": 600.0},
        events=(
            {"time": "t", "type": "Normal", "object": "ModelDeployment/hedge", "reason": "Promoted", "note": "<b>"},
        ),
        counts={"requests": DAYS, "labels": DAYS - 1},
        replayed={"asOf": "2006-12-31T00:00:00Z"},
    )


def test_the_json_has_everything_that_was_promised(results: Results, tmp_path: Path) -> None:
    write_report(results, tmp_path)
    record = json.loads((tmp_path / "report.json").read_text())
    assert {"periods", "totals", "retrains", "stages", "events", "counts"} <= set(record)
    assert all({"period", *SERIES} <= set(period) for period in record["periods"])
    assert set(record["totals"]) == set(SERIES)
    assert all({"date", "trigger", "evidence", "verdict", "versions"} <= set(one) for one in record["retrains"])
    assert record["counts"] == {"requests": DAYS, "labels": DAYS - 1}


def test_totals_are_the_mean_of_the_periods_weighted_by_their_days(results: Results) -> None:
    record = as_json(results)
    for name in SERIES:
        mean = sum(p["days"] * p[name] for p in record["periods"]) / DAYS
        assert mean == pytest.approx(record["totals"][name], abs=1e-5)


def test_a_static_model_of_zeros_is_no_hedge_and_a_better_one_is_better(results: Results) -> None:
    totals = results.totals()
    assert totals["static"] == totals["none"]
    assert totals["loop"] < totals["none"]


def test_the_page_needs_nothing_from_elsewhere(results: Results) -> None:
    page = render_page(results)
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    assert "@import" not in page
    assert page.count("<svg") == 4


def test_what_others_wrote_is_text_not_markup(results: Results) -> None:
    assert "<td>&lt;b&gt;</td>" in render_page(results)


def test_the_same_results_give_the_same_page(results: Results) -> None:
    assert render_page(results) == render_page(results)


def test_the_terminal_shows_quarters_totals_and_every_retraining(results: Results) -> None:
    lines = render_table(results).splitlines()
    assert lines[1].startswith("2007-Q3")
    assert any(line.startswith("all days") for line in lines)
    assert "2 retrainings, 1 of them took over:" in lines
    assert any("2007-12-01  loss 1.6 > 1.45" in line and "refused by the gate" in line for line in lines)


def test_the_conclusion_is_a_sentence_of_the_numbers(results: Results) -> None:
    assert re.fullmatch(
        r"Of 2 retrained models 1 took over, the first on 2008-03-01; "
        r"over all days the error is \d+ % lower than the first model's\.",
        conclude(results),
    )
    none = replace(results, retrains=results.retrains[:1])
    assert conclude(none).startswith("Of 1 retrained models none took over")


def test_every_outcome_of_a_cycle_has_words() -> None:
    assert set(OUTCOMES) == {outcome.value for outcome in CycleOutcome} | {"UnderWay"}


def test_correlation_over_a_window_that_is_not_there_yet_is_unknown() -> None:
    found = correlations(np.arange(300.0), np.arange(300.0))
    assert np.isnan(found[:249]).all()
    np.testing.assert_allclose(found[249:], 1)
