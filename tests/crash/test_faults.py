"""The plan of faults, the names of requests, and what is made of answers: pure, without any server."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

import pytest

from tests.crash.answers import Answer, as_of, instead, spoilt, told, version_of
from tests.crash.cases import Case, Learnt, everything, kills, lives, ordered, silenced, slice_of
from tests.crash.faults import ANYTHING, Fault, Match, Planned, fault_for, killed_at
from tests.crash.oracle import left_open
from tests.crash.signatures import Access, Named, Sent, named, watched
from tests.crash.summary import summary
from tests.crash.sweep import Verdict

JOB = Named("kube", Access.WRITE, "PATCH jobs/a-*-1")
EVENT = Named("kube", Access.WRITE, "POST events Registered of ModelTraining/a")
ALIAS = Named("mlflow", Access.WRITE, "POST mlflow registered-models/alias (champion 1)")
SEARCH = Named("mlflow", Access.READ, "GET mlflow registered-models/search")
QUERY = Named("prometheus", Access.READ, "POST prometheus up")
WRITES = Match(access=frozenset({Access.WRITE}))


@pytest.mark.parametrize(
    ("planned", "one", "befallen"),
    [
        pytest.param(Planned(ANYTHING, Fault.LOST), JOB, {1}, id="the first of each signature"),
        pytest.param(Planned(ANYTHING, Fault.LOST, nth=3), JOB, {3}, id="the third alone"),
        pytest.param(Planned(ANYTHING, Fault.LOST, nth=2, every=3), JOB, {2, 5, 8}, id="the second, then each third"),
        pytest.param(Planned(ANYTHING, Fault.LOST, every=1), JOB, set(range(1, 9)), id="all"),
        pytest.param(Planned(WRITES, Fault.LOST), SEARCH, set(), id="another access"),
        pytest.param(Planned(Match(sides=frozenset({"mlflow"})), Fault.LOST), JOB, set(), id="another side"),
        pytest.param(Planned(Match(sides=frozenset({"mlflow"})), Fault.LOST), ALIAS, {1}, id="that side"),
        pytest.param(Planned(Match(texts=frozenset({ALIAS.text})), Fault.LOST), JOB, set(), id="another signature"),
        pytest.param(Planned(Match(texts=frozenset({JOB.text})), Fault.LOST), JOB, {1}, id="that signature"),
    ],
)
def test_what_a_plan_says(planned: Planned, one: Named, befallen: set[int]) -> None:
    assert {nth for nth in range(1, 9) if fault_for((planned,), one, nth) is planned.fault} == befallen
    assert {nth for nth in range(1, 9) if fault_for((), one, nth)} == set()


def test_the_first_of_a_plan_that_fits_decides() -> None:
    plan = (*killed_at(JOB.text, 1, Fault.KILL_AFTER), Planned(WRITES, Fault.LOST, every=1))
    assert [fault_for(plan, JOB, nth) for nth in (1, 2)] == [Fault.KILL_AFTER, Fault.LOST]
    assert fault_for(plan, ALIAS, 1) is Fault.LOST


NAMESPACED = "/apis/batch/v1/namespaces/shop/jobs"
MLFLOW = "/api/2.0/mlflow"
RUN = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (Sent("kube", "GET", NAMESPACED, agent="modelcycle"), Named("kube", Access.LIST, "LIST jobs")),
        (Sent("kube", "GET", NAMESPACED, agent="kopf/1.45"), Named("kube", Access.LIST, "LIST jobs (kopf)")),
        (Sent("kube", "GET", NAMESPACED, query="watch=true"), Named("kube", Access.WATCH, "WATCH jobs")),
        (Sent("kube", "GET", f"{NAMESPACED}/a-0fc1d-1"), Named("kube", Access.READ, "GET jobs/a-*-1")),
        (Sent("kube", "PATCH", f"{NAMESPACED}/a-0fc1d-1", b"{}"), Named("kube", Access.WRITE, "PATCH jobs/a-*-1")),
        (Sent("kube", "PUT", "/apis/coordination.k8s.io/v1/namespaces/shop/leases/operator", b"{}"), None),
        (
            Sent(
                "mlflow", "GET", f"{MLFLOW}/model-versions/search", query=f"filter=name+%3D+'shop.a'+and+run_id='{RUN}'"
            ),
            Named("mlflow", Access.READ, "GET mlflow model-versions/search name = '*.a' and run_id='*'"),
        ),
        (
            Sent("mlflow", "POST", f"{MLFLOW}/runs/search", json.dumps({"filter": "tags.x = 'shop'"}).encode()),
            Named("mlflow", Access.READ, "POST mlflow runs/search tags.x = '*'"),
        ),
        (
            Sent("mlflow", "GET", f"/api/2.0/mlflow-artifacts/artifacts/7/{RUN}/artifacts/a.json"),
            Named("mlflow", Access.READ, "GET mlflow mlflow-artifacts/artifacts/*/*/artifacts/a.json"),
        ),
        (
            Sent("mlflow", "GET", f"/api/2.0/mlflow-artifacts/artifacts/7/models/m-{RUN}/artifacts/conda.yaml"),
            Named("mlflow", Access.READ, "GET mlflow mlflow-artifacts/artifacts/*/models/*/artifacts/(a file)"),
        ),
        (
            Sent("mlflow", "GET", f"/api/2.0/mlflow-artifacts/artifacts/7/models/m-{RUN}/artifacts/MLmodel"),
            Named("mlflow", Access.READ, "GET mlflow mlflow-artifacts/artifacts/*/models/*/artifacts/MLmodel"),
        ),
        (
            Sent("mlflow", "POST", f"{MLFLOW}/runs/update", json.dumps({"run_id": RUN, "status": "KILLED"}).encode()),
            Named("mlflow", Access.WRITE, "POST mlflow runs/update (KILLED)"),
        ),
        (
            Sent("prometheus", "POST", "/api/v1/query_range", b"query=up%7Bnamespace%3D%22shop%22%7D&start=1"),
            Named("prometheus", Access.READ, 'POST prometheus up{namespace="*"}'),
        ),
    ],
)
def test_the_names_of_requests(sent: Sent, expected: Named | None) -> None:
    assert named(sent, "shop") == expected


# --- answers ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("side", ["kube", "mlflow", "prometheus"])
@pytest.mark.parametrize(
    ("fault", "status", "after"),
    [
        (Fault.CONFLICT, 409, None),
        (Fault.GONE, 410, None),
        (Fault.THROTTLED, 429, "1"),
        (Fault.BROKEN, 500, None),
        (Fault.UNAVAILABLE, 503, None),
    ],
)
def test_answers_in_the_place_of_a_server(side: str, fault: Fault, status: int, after: str | None) -> None:
    answer = instead(side, fault)
    assert (answer.status, answer.headers.get("Retry-After")) == (status, after)
    assert json.loads(answer.body)


def test_spoilt_answers_are_no_json() -> None:
    answer = Answer(201, b'{"run": {"info": {}}}', {"Content-Type": "application/json"})
    assert spoilt(None, answer) == answer
    for fault in (Fault.GARBAGE, Fault.TRUNCATED):
        with pytest.raises(json.JSONDecodeError):
            json.loads(spoilt(fault, answer).body)


@pytest.mark.parametrize(("fault", "lines"), [(None, 1), (Fault.DROPPED, 0), (Fault.DUPLICATED, 2)])
def test_what_a_watch_tells(fault: Fault | None, lines: int) -> None:
    line = b'{"type":"ADDED"}'
    assert list(told(line, fault)) == [line] * lines


@pytest.mark.parametrize(
    ("type_", "version"), [("ADDED", 7), ("MODIFIED", 7), ("DELETED", 7), ("BOOKMARK", None), ("ERROR", None)]
)
def test_only_objects_are_events(type_: str, version: int | None) -> None:
    assert version_of(json.dumps({"type": type_, "object": {"metadata": {"resourceVersion": "7"}}}).encode()) == version


@pytest.mark.parametrize(
    ("query", "versions", "asked"),
    [
        ("limit=500", [], None),
        ("limit=500", [9], "9"),
        ("limit=500", [30, 10, 20, 20], "20"),
        ("limit=500", [50, 40, 30, 20, 10], "40"),
        ("limit=500&continue=abc", [10, 20], None),
    ],
)
def test_a_list_of_an_older_moment(query: str, versions: list[int], asked: str | None) -> None:
    found = parse_qs(as_of(query, versions, back=1))
    assert found["limit"] == ["500"]
    assert found.get("resourceVersion", [None]) == [asked]
    assert ("resourceVersionMatch" in found) == (asked is not None)


# --- cases -----------------------------------------------------------------------------------------------------------
LEARNT = [
    Learnt(0, JOB, 1),
    Learnt(0, SEARCH, 1),
    Learnt(0, EVENT, 1),
    Learnt(1, ALIAS, 1),
    Learnt(1, watched("jobs"), 1),
    Learnt(1, Named("kube", Access.WRITE, "PUT x/status (Ready)"), 1),
    Learnt(1, Named("kube", Access.WRITE, "PUT x/status (Ready)"), 2),
]


def test_each_request_that_changes_something_kills_twice() -> None:
    cases = kills(LEARNT)
    assert len(cases) == 2 * 4, "an equal status counts once"
    assert {case.plan[0].fault for case in cases} == {Fault.KILL_BEFORE, Fault.KILL_AFTER}
    assert [case.part for case in cases] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [case.silence > 0 for case in silenced(cases)] == [n in (3, 7) for n in range(8)]


def test_every_fault_has_its_life() -> None:
    faults = {fault for case in everything(LEARNT, 1) for fault in case.faults}
    assert faults == set(Fault)
    unanswered = {
        text
        for case in lives(LEARNT, 1)
        for planned in case.plan
        if planned.fault is Fault.SILENT
        for text in planned.match.texts or ()
    }
    assert unanswered == {one.signature for one in LEARNT if one.of.access is not Access.EVENT}


def test_the_slice_is_a_part() -> None:
    every = {case.name for case in everything(LEARNT, 1)}
    part = slice_of(LEARNT, 1)
    assert {case.name for case in part} < every
    assert sum(case.throughout for case in part) == 3
    assert not any("POST events" in case.name for case in part if case.is_kill)
    assert ordered(part)[0].throughout


# --- what is compared, and told --------------------------------------------------------------------------------------
def test_what_a_fault_may_add() -> None:
    told_once = {
        "Warning RegistryUnavailable of ModelTraining/a": 1,
        "Warning RegistryUnavailable of ModelDeployment/a": 1,
    }
    assert left_open({Fault.KILL_AFTER})({"events": told_once}) == {"events": told_once}
    kept = {"Warning RegistryUnavailable of ModelDeployment/a": 1}
    assert left_open({Fault.BROKEN})({"events": told_once}) == {"events": kept}


def test_the_summary_counts() -> None:
    case = Case("a", 0, killed_at(JOB.text, 1, Fault.KILL_AFTER))
    lines = summary(LEARNT, [Verdict(case, (), ("lost",)), Verdict(case, ())], 9)
    found = {line.partition(" .")[0]: line.rpartition(" ")[2] for line in lines if " .." in line}
    assert found["requests learnt that change something"] == "5"
    assert found["cases in which the operator was killed"] == "2"
    assert found["cases that did not come to their fault"] == "2"
    assert found["violations"] == "1"
