"""The table of aliases in docs/reference/rollouts.md is the test table, and the relations that lead to its rows."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from modelcycle.api.v1alpha1.deployment import (
    AliasMove,
    Candidate,
    DeploymentStatus,
    ModelSelector,
    Purpose,
    ServedVersion,
    Verdict,
    VerdictRecord,
)
from modelcycle.deployment.aliases import Action, Activity, Challenger, Champion, act
from modelcycle.deployment.relations import relate
from modelcycle.registry.port import ModelReading
from tests.unit.deployment.outside import MODEL, START

PAGE = Path(__file__).parents[3] / "docs/reference/rollouts.md"
Row = tuple[Activity, Champion, Challenger]


def documented() -> dict[Row, Action]:
    lines = PAGE.read_text(encoding="utf-8").split("## The table of aliases")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
    return {(Activity(r[0]), Champion(r[1]), Challenger(r[2])): Action(r[3]) for r in rows}


@pytest.mark.parametrize("row", [*itertools.product(Activity, Champion, Challenger)], ids="-".join)
def test_every_row_of_the_documented_table(row: Row) -> None:
    assert act(*row) is documented()[row]


def test_the_documented_table_has_every_row_once() -> None:
    assert len(documented()) == len(Activity) * len(Champion) * len(Challenger)


STABLE = ServedVersion(version="1")


def trial(version: str = "2", purpose: Purpose = Purpose.TRIAL) -> Candidate:
    return Candidate(version=version, purpose=purpose)


def judged(version: str, verdict: Verdict = Verdict.REJECTED) -> VerdictRecord:
    return VerdictRecord(version=version, verdict=verdict, reason="Test", time=START)


MOVE = AliasMove(alias="champion", to="1", reason="Promoted", since=START)


@pytest.mark.parametrize(
    ("status", "aliases", "row"),
    [
        pytest.param({}, {}, "idle gone none", id="nothing serves and there is no alias"),
        pytest.param({}, {"champion": "1"}, "idle moved none", id="nothing serves yet, but a champion is there"),
        pytest.param({}, {"challenger": "1"}, "idle gone new", id="nothing serves yet, a challenger is there"),
        pytest.param({"stable": STABLE}, {"champion": "1"}, "idle same none", id="at rest"),
        pytest.param({"stable": STABLE}, {"champion": "2"}, "idle moved none", id="champion moved by hand"),
        pytest.param({"stable": STABLE}, {}, "idle gone none", id="champion deleted"),
        pytest.param(
            {"stable": STABLE, "alias_moves": (MOVE,)},
            {"champion": "9"},
            "idle same none",
            id="our own move is under way",
        ),
        pytest.param(
            {"stable": STABLE}, {"champion": "1", "challenger": "1"}, "idle same same", id="challenger serves already"
        ),
        pytest.param(
            {"stable": STABLE, "verdicts": (judged("2"),)},
            {"champion": "1", "challenger": "2"},
            "idle same same",
            id="challenger was judged",
        ),
        pytest.param({"stable": STABLE}, {"champion": "1", "challenger": "2"}, "idle same new", id="new challenger"),
        pytest.param(
            {"stable": STABLE},
            {"champion": "1", "challenger": "404"},
            "idle same gone",
            id="challenger is not in MLflow",
        ),
        pytest.param(
            {"stable": STABLE, "candidate": trial()},
            {"champion": "1", "challenger": "2"},
            "rolling same same",
            id="a rollout goes on",
        ),
        pytest.param(
            {"stable": STABLE, "candidate": trial()},
            {"champion": "1", "challenger": "3"},
            "rolling same new",
            id="another challenger",
        ),
        pytest.param(
            {"stable": STABLE, "candidate": trial()}, {"champion": "1"}, "rolling same gone", id="challenger withdrawn"
        ),
        pytest.param(
            {"stable": STABLE, "candidate": trial(), "verdicts": (judged("3"),)},
            {"champion": "1", "challenger": "3"},
            "rolling same gone",
            id="challenger set to a judged version",
        ),
        pytest.param(
            {"stable": STABLE, "candidate": trial()},
            {"champion": "2", "challenger": "2"},
            "rolling moved same",
            id="the candidate made champion by hand",
        ),
        pytest.param(
            {"stable": STABLE, "candidate": trial("3", Purpose.FOLLOW)},
            {"champion": "3", "challenger": "4"},
            "rolling same none",
            id="a challenger waits for a champion on its way",
        ),
        pytest.param(
            {"stable": STABLE, "candidate": trial("3", Purpose.FOLLOW)},
            {"champion": "1"},
            "rolling moved none",
            id="champion moved back while it is followed",
        ),
    ],
)
def test_relation_of_an_owner(status: dict[str, object], aliases: dict[str, str], row: str) -> None:
    reading = ModelReading(exists=True, aliases=tuple(aliases.items()))
    relation = relate(DeploymentStatus(**status), ModelSelector(name=MODEL), reading, frozenset({"404"}))  # type: ignore[arg-type]
    assert f"{relation.activity} {relation.champion} {relation.challenger}" == row


@pytest.mark.parametrize(
    ("status", "champion", "row"),
    [
        pytest.param({}, None, "idle same none", id="no champion yet"),
        pytest.param({}, "1", "idle moved none", id="the first champion is served at once"),
        pytest.param({"stable": STABLE}, "1", "idle same same", id="at rest"),
        pytest.param({"stable": STABLE}, "2", "idle same new", id="a new champion is tried"),
        pytest.param(
            {"stable": STABLE, "verdicts": (judged("2"),)},
            "2",
            "idle same same",
            id="a rejected champion is not served",
        ),
        pytest.param(
            {"stable": STABLE, "verdicts": (judged("2", Verdict.PROMOTED),)},
            "2",
            "idle moved none",
            id="a champion that served before is taken back at once",
        ),
        pytest.param({"stable": STABLE, "candidate": trial()}, "2", "rolling same same", id="a trial goes on"),
        pytest.param({"stable": STABLE, "candidate": trial()}, "3", "rolling same new", id="yet another champion"),
        pytest.param(
            {"stable": STABLE, "candidate": trial(), "verdicts": (judged("1", Verdict.PROMOTED),)},
            "1",
            "rolling same gone",
            id="champion moved back during the trial",
        ),
    ],
)
def test_relation_of_a_follower(status: dict[str, object], champion: str | None, row: str) -> None:
    reading = ModelReading(exists=True, aliases=(("champion", champion),) if champion else ())
    relation = relate(DeploymentStatus(**status), ModelSelector(name=MODEL, follow=True), reading)  # type: ignore[arg-type]
    assert f"{relation.activity} {relation.champion} {relation.challenger}" == row
