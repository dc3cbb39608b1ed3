from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelcycle_client.bench import search
from modelcycle_client.bench.report import table
from modelcycle_client.bench.runs import Run, code_name, read_run, shortcoming, sustained


def _spread(p99: float) -> dict[str, float]:
    return {"mean": p99 / 2, "p50": p99 / 2, "p90": p99 / 1.5, "p99": p99, "p99.9": p99 * 2, "max": p99 * 3}


FOUND: dict[str, Any] = {
    "planned": 1000,
    "good": 990,
    "good_in_time": 985,
    "answers": {200: 990, 503: 8},
    "failures": {"timeout": 2},
    "latency_us": _spread(2000.0),
    "lag_us": _spread(50.0),
    "cpu": 0.5,
    "starved": 0.01,
    "reopened": 3,
    "resent": 0,
}


def _run(**changes: Any) -> Run:
    return replace(read_run(FOUND, rate=500.0, connections=8, seconds=2.0, is_grpc=False), **changes)


def test_what_a_load_tells() -> None:
    run = _run()
    assert (run.mode, run.rate, run.failed, run.kept_up) == ("open", 492.5, 10, True)
    assert run.answers == {"200": 990, "503": 8}
    assert run.record()["latency_us"]["p99"] == 2000
    closed = read_run(FOUND, rate=None, connections=8, seconds=2.0, is_grpc=False)
    assert (closed.mode, closed.planned_rate, closed.lag_us) == ("closed", None, None)


@pytest.mark.parametrize(
    ("lag", "latency", "cpu", "starved", "said"),
    [
        pytest.param(50, 100, 0.5, 0.01, None, id="waking takes a moment"),
        pytest.param(150, 2000, 0.5, 0.01, None, id="a tenth of the latency at most"),
        pytest.param(250, 2000, 0.5, 0.01, "up to 0.25 ms late (p99), beside a latency of 2.00 ms", id="late"),
        pytest.param(50, 2000, 0.96, 0.01, "used 96% of a CPU", id="no CPU left"),
        pytest.param(50, 2000, 0.5, 0.06, "waited 6% of the time for a CPU that others had", id="others have it"),
        pytest.param(50, 2000, 0.5, None, None, id="a kernel that does not say"),
        pytest.param(50, 2000, None, None, None, id="too short for a clock"),
    ],
)
def test_the_generator_says_when_it_did_not_keep_up(
    lag: float, latency: float, cpu: float | None, starved: float | None, said: str | None
) -> None:
    why = shortcoming(_spread(lag), _spread(latency), cpu, starved)
    assert (why is None) if said is None else (why is not None and said in why)


def test_latencies_of_a_late_generator_are_not_told() -> None:
    found = {**FOUND, "lag_us": _spread(900.0)}
    run = read_run(found, rate=500.0, connections=8, seconds=2.0, is_grpc=False)
    assert run.latency_us is None
    assert run.at_most_us is not None
    assert not run.record()["kept_up"]
    assert "* 500: no latencies, as they would not be the server's: the generator sent up to 0.90 ms late" in table(
        [run]
    )


def test_nothing_answered() -> None:
    found = {**FOUND, "good": 0, "good_in_time": 0, "answers": {}, "failures": {"refused": 1000}, "latency_us": None}
    run = read_run(found, rate=500.0, connections=8, seconds=2.0, is_grpc=False)
    assert (run.failed, run.latency_us, run.kept_up) == (1000, None, True)
    assert "1,000 (refused: 1,000)" in table([run])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"failed": 0, "rate": 500.0}, True),
        ({"failed": 1, "rate": 500.0}, False),
        ({"failed": 0, "rate": 491.0}, True),
        ({"failed": 0, "rate": 485.0}, False),
        ({"failed": 0, "rate": 485.0, "connections": 64}, True),
        ({"failed": 0, "rate": 500.0, "latency_us": _spread(5001.0)}, False),
        ({"failed": 0, "rate": 500.0, "latency_us": None}, False),
    ],
)
def test_what_is_carried(changes: dict[str, Any], *, expected: bool) -> None:
    assert sustained(_run(**changes), 5.0) is expected


@pytest.mark.parametrize(
    ("code", "is_grpc", "name"), [(200, False, "200"), (0, True, "OK"), (14, True, "UNAVAILABLE"), (99, True, "99")]
)
def test_names_of_codes(code: int, is_grpc: bool, name: str) -> None:
    assert code_name(code, is_grpc=is_grpc) == name


@pytest.mark.parametrize("limit", [0.0, 100.0, 700.0, 999.0, 5000.0])
def test_the_search_ends_near_what_is_carried(limit: float) -> None:
    state, tries = search.begin(1000.0), 0
    while (rate := state.next_rate()) is not None:
        state = state.told(rate, carried=rate <= limit)
        tries += 1
    assert tries <= 6
    assert min(limit, 1200.0) - 40 <= state.carried <= limit


def test_a_rate_is_tried_again_where_the_generator_was_late() -> None:
    late = iter([False, True, False, *[False] * 9])

    def run(rate: float | None) -> Run:
        why = "late" if next(late) else None
        return _run(planned_rate=rate, rate=1000.0 if rate is None else rate, why=why)

    runs, capacity = search.find(run, lambda run: run.rate <= 700)
    assert [run.planned_rate for run in runs[:4]] == [None, 600, 600, 900]
    assert capacity == 675


def test_what_the_generator_can_not_reach_is_not_known() -> None:
    runs, capacity = search.find(lambda rate: _run(planned_rate=rate, rate=1000.0, why=rate and "late"), lambda _: True)
    assert (len(runs), capacity) == (1 + search.TRIES, None)


def test_the_table() -> None:
    shown = table([_run(), _run(planned_rate=None, mode="closed", resent=2)])
    heads, first, second, note = [line.strip() for line in shown.splitlines()]
    assert " ".join(heads.split()) == "planned/s answered/s p50 p90 p99 p99.9 max not answered well late p99 CPU"
    assert " ".join(first.split()) == "500 492 1.00 1.33 2.00 4.00 6.00 10 (503: 8, timeout: 2) 0.05 50%"
    assert second.startswith("closed loop")
    assert note == "* closed loop: 2 requests were sent again, as their connection had ended before an answer"
