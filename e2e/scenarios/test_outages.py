"""What everybody relies on goes away for a while: serving goes on, nothing is lost, nothing is done twice."""

from __future__ import annotations

from collections import Counter

import pytest

from e2e.demo.kube import condition
from e2e.scenarios.clients import Client
from e2e.scenarios.lines import NAME, Lines, registered_version, serve_line
from e2e.scenarios.manifests import parameters, training
from e2e.scenarios.outages import empty_caches, mlflow_down
from e2e.scenarios.stage import Stage
from e2e.scenarios.system import (
    System,
    events_of,
    eventually,
    reasons_of,
    tags,
    until_equal,
)


@pytest.fixture(scope="module")
def client(more_lines: Lines, stage: Stage) -> Client:
    stage.wait()
    return serve_line(more_lines, more_lines.versions["first"])


def kill_operator(system: System) -> None:
    """As a node that dies: nothing is finished, the lease is not given back."""
    system.own.kubectl("delete", "pod", system.operator_pod(), "--grace-period=0", "--force")


def test_mlflow_away_while_a_pod_starts_and_a_training_begins(
    system: System, more_lines: Lines, client: Client
) -> None:
    lines, stable = more_lines, more_lines.versions["first"]
    lines.until_ready(stable)
    with client.load() as result:
        with mlflow_down(system):
            empty_caches(system)
            lines.kube.kubectl("delete", "pod", lines.pods(stable)[0]["name"], "--wait=false")
            lines.kube.apply([training(system, lines.kube.namespace, "meanwhile", "line.py")])
            eventually("a pod that waits for its files", lambda: fetching(lines, stable), 600)
            until_equal("what is said", lambda: said(lines), ("Unknown", "RegistryUnavailable"), 300)
            assert client.serving() == {stable}
        lines.until_ready(stable)
        registered_version(lines.kube, "meanwhile")
    assert result()["failures"] == []
    eventually("that all is well", lambda: condition(lines.deployment(), "Degraded")["status"] != "True", 300)
    assert_done_once(system, lines, "meanwhile")


def test_operator_killed_during_a_training(system: System, more_lines: Lines, client: Client) -> None:
    lines, name = more_lines, "survives"
    slow = training(system, lines.kube.namespace, name, "line.py", parameters=parameters(seconds="20"))
    lines.kube.apply([slow])
    eventually("its run, before the pod", lambda: "run" in status(lines, name), 300)
    kill_operator(system)
    until_equal("phases of its pods", lambda: pod_phases(lines, name), ["Running"], 600)
    kill_operator(system)
    registered_version(lines.kube, name)
    assert_done_once(system, lines, name)


def test_operator_killed_during_a_rollout(system: System, more_lines: Lines, client: Client) -> None:
    lines, old, new = more_lines, more_lines.versions["first"], more_lines.versions["second"]
    lines.challenge(new)
    until_equal("its step", lambda: candidate_step(lines), "half", 600)
    kill_operator(system)
    with client.load() as result:
        assert lines.until_verdict(new) == ("Promoted", "StepsPassed")
        kill_operator(system)
        lines.until_serving(new)
        lines.until_gone(old)
        lines.until_aliases(champion=new)
    assert result()["failures"] == []
    assert [(v["version"], v["verdict"]) for v in lines.status()["verdicts"]] == [(old, "Promoted"), (new, "Promoted")]
    told = Counter((event["reason"], event["note"].split(":")[0]) for event in events_of(lines.kube, NAME))
    assert {what: count for what, count in told.items() if what[0] in ("Promoted", "StepPassed") and count > 1} == {}
    assert reasons_of(lines.kube, NAME).count("Promoted") == 2


# --- help ------------------------------------------------------------------------------------------------------------
def assert_done_once(system: System, lines: Lines, name: str) -> None:
    """One attempt, one Job, one run that has ended well, one version; each told once."""
    found = lines.kube.get("modeltraining", name) or {}
    uid = found["metadata"]["uid"]
    assert [attempt["state"] for attempt in found["status"]["attempts"]] == ["Succeeded"]
    jobs = [one for one in lines.kube.items("jobs") if one["metadata"]["ownerReferences"][0]["uid"] == uid]
    assert len(jobs) == 1
    with system.mlflow() as mlflow:
        ours = f"tags.`modelcycle.dev/uid` = '{uid}'"
        # The run is ended after the training's own end is written.
        ends = lambda: [run["info"]["status"] for run in mlflow.runs(ours)]  # noqa: E731
        until_equal("the ends of its runs", ends, ["FINISHED"], 300)
        versions = [one for one in mlflow.versions(lines.model) if tags(one)["modelcycle.dev/uid"] == uid]
    assert len(versions) == 1
    told = Counter(reasons_of(lines.kube, name))
    assert (told["AttemptStarted"], told["Registered"]) == (1, 1)


def fetching(lines: Lines, version: str) -> bool:
    """Whether a pod of it is at its init container, which is running and not failing."""
    states = [one["state"] for pod in lines.pods(version) for one in pod["status"].get("initContainerStatuses", [])]
    return any("running" in state for state in states)


def said(lines: Lines) -> tuple[str, str]:
    found = condition(lines.kube.get("modeltraining", "meanwhile") or {}, "Succeeded")
    return found["status"], found["reason"]


def status(lines: Lines, name: str) -> dict[str, object]:
    found: dict[str, object] = (lines.kube.get("modeltraining", name) or {}).get("status", {})
    return found


def pod_phases(lines: Lines, name: str) -> list[str]:
    pods = [pod for pod in lines.kube.items("pods") if owner(pod) == name]
    return [pod["status"]["phase"] for pod in pods]


def owner(pod: dict[str, dict[str, dict[str, str]]]) -> str | None:
    return pod["metadata"].get("labels", {}).get("modelcycle.dev/owner-name")


def candidate_step(lines: Lines) -> str | None:
    return (lines.status().get("candidate") or {}).get("stepName")
