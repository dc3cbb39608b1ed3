"""The short loop: a market breaks a model, which is retrained once, judged, rolled out, and is better."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from e2e.demo.kube import condition
from e2e.demo.looks import Line, read_tables
from e2e.demo.settings import DEPLOYMENT, POLICY
from e2e.scenarios.loop import DAYS, Loop
from e2e.scenarios.system import Json, System, events_of, tags, until_equal

GOLDEN = Path(__file__).parent / "golden" / "get.txt"
# Moments that last longer than the time between two looks.
MET = {
    "modeltraining": {"Running", "Registered"},
    "modeldeployment": {"Starting", "Serving", "half"},
    "retrainpolicy": {"Watching", "Training", "Gate", "Rollout"},
}
LINEAGE = ("key", "uid", "training", "image-digest", "parameters-digest", "data-digest", "code-digest", "as-of")
CYCLE = ("CycleStarted", "Trained", "GateStarted", "GatePassed", "ChallengerSet", "CyclePromoted")
FILES = ("digest", "files", "model-root", "run-root", "baseline-loss")


def test_one_retraining_fires_is_judged_better_and_promoted(short_loop: Loop) -> None:
    (decision,) = short_loop.policy["status"]["history"]
    assert (decision["number"], decision["outcome"]) == (1, "Promoted")
    assert (decision["champion"], decision["version"]) == ("1", "2")
    evidence = decision["evidence"]
    assert evidence["trigger"] == "loss"
    assert float(evidence["value"]) > float(evidence["threshold"]) == 1.45
    assert evidence["rows"] >= 40
    assert evidence["query"]
    assert evidence["time"]


def test_the_query_of_the_evidence_gives_its_value_long_after(system: System, short_loop: Loop) -> None:
    evidence = short_loop.policy["status"]["history"][0]["evidence"]
    assert system.counted(evidence["query"]) == pytest.approx(float(evidence["value"]), rel=1e-5)


def test_the_gate_has_its_numbers(short_loop: Loop) -> None:
    gate = short_loop.policy["status"]["history"][0]["gate"]
    assert (gate["outcome"], gate["reason"]) == ("Passed", "Better")
    assert gate["rows"] >= 40
    assert float(gate["challengerLoss"]) < float(gate["championLoss"])
    assert float(gate["pValue"]) <= 0.1


def test_the_rollout_goes_through_its_steps_once(short_loop: Loop) -> None:
    status = short_loop.deployment["status"]
    verdicts = [(one["version"], one["verdict"], one["reason"]) for one in status["verdicts"]]
    assert verdicts == [("1", "Promoted", "Bootstrap"), ("2", "Promoted", "StepsPassed")]
    assert status["stable"]["version"] == "2"
    assert "candidate" not in status
    assert condition(short_loop.deployment, "Ready")["status"] == "True"
    assert condition(short_loop.policy, "Ready")["status"] == "True"


def test_each_step_is_an_event_once(short_loop: Loop) -> None:
    told = Counter(event["reason"] for event in events_of(short_loop.kube, DEPLOYMENT))
    assert (told["RolloutStarted"], told["StepPassed"], told["Promoted"]) == (2, 2, 2)
    of_policy = Counter(event["reason"] for event in events_of(short_loop.kube, POLICY))
    assert of_policy["TriggerFiring"] >= 1
    assert [of_policy[reason] for reason in CYCLE] == [1] * len(CYCLE)


def test_every_request_is_counted_and_every_label_scored(short_loop: Loop) -> None:
    assert short_loop.results.counts == {"requests": DAYS, "labels": DAYS}
    assert short_loop.results.replayed["labelsRefused"] == 0
    assert short_loop.policy["status"]["evaluated"]["rows"] == DAYS
    assert set(short_loop.results.versions) == {"1", "2"}


def test_versions_carry_their_lineage_evidence_and_baseline(system: System, short_loop: Loop) -> None:
    model = f"{short_loop.kube.namespace}.hedge"
    with system.mlflow() as mlflow:
        # The deployment writes its verdict first; then aliases are moved and versions are tagged, in any order.
        until_equal("the aliases", lambda: mlflow.aliases(model), {"champion": "2"}, 300)
        until_equal("the versions with a verdict", lambda: sorted(mlflow.rollouts(model)), ["1", "2"], 300)
        versions = mlflow.versions(model)
    first, second = (ours(version) for version in versions)
    for version in (first, second):
        assert [name for name in (*LINEAGE, *FILES, "rollout") if not version.get(name)] == []
        paths = {path for path, *_ in json.loads(version["files"])}
        assert {"modelcycle/baseline.json", "modelcycle/smoke.npz", "modelcycle/dataset.json"} <= paths
        assert json.loads(version["rollout"])["verdict"] == "Promoted"
    assert (second["policy"], second["cycle"]) == (POLICY, "1")
    assert json.loads(second["gate"])["outcome"] == "Passed"
    assert first["data-digest"] != second["data-digest"]
    assert first["as-of"] < second["as-of"]


def test_the_training_knew_nothing_that_came_later(short_loop: Loop) -> None:
    data = short_loop.first_training["status"]["data"]
    assert data["refused"] > 0
    assert data["last"] <= short_loop.first_training["spec"]["asOf"]
    decision = short_loop.policy["status"]["history"][0]
    assert decision["asOf"] == decision["evidence"]["watermark"]


def test_kubectl_get_reads_at_each_moment_as_its_golden_file_says(short_loop: Loop) -> None:
    """Which of the short moments are met is chance (a look every few seconds); that they read like this is not."""
    golden = read_tables(GOLDEN.read_text())
    seen = {kind: [nameless(line, short_loop) for line in lines] for kind, lines in short_loop.looks.items()}
    assert {kind: [line for line in lines if line not in golden[kind]] for kind, lines in seen.items()} == {
        kind: [] for kind in golden
    }
    for kind, words in MET.items():
        assert seen[kind][0] == golden[kind][0]
        assert words <= {cell for line in seen[kind] for cell in line}


def nameless(line: Line, loop: Loop) -> Line:
    """Without what differs from run to run: the namespace, and the policy's uid in names."""
    return tuple(
        re.sub(r"hedge-[0-9a-f]{5}-", "hedge-uid-", cell.replace(loop.kube.namespace, "desk")) for cell in line
    )


def test_no_run_is_left_running(system: System, short_loop: Loop) -> None:
    namespace = short_loop.kube.namespace

    def open_runs(mlflow_runs: list[Json]) -> list[str]:
        mine = [run for run in mlflow_runs if f"/{namespace}/" in ours(run["data"]).get("training", "")]
        return [run["info"]["run_id"] for run in mine]

    with system.mlflow() as mlflow:
        running = "attributes.status = 'RUNNING'"
        until_equal("the runs that are open", lambda: open_runs(mlflow.runs(running)), [], 300)


def ours(thing: Json) -> dict[str, str]:
    """Tags of ours, without their prefix."""
    prefix = "modelcycle.dev/"
    return {name.removeprefix(prefix): text for name, text in tags(thing).items() if name.startswith(prefix)}
