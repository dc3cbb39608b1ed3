"""Serving: a version is never taken over by a worse one, and requests don't notice what happens to pods."""

from __future__ import annotations

import json

import pytest

from e2e.demo.kube import condition
from e2e.scenarios.clients import Client
from e2e.scenarios.lines import NAME, Lines, serve_line
from e2e.scenarios.manifests import parameters, training
from e2e.scenarios.system import System, events_of, eventually, is_pod_ready, reasons_of, tags


@pytest.fixture(scope="module")
def client(lines: Lines) -> Client:
    return serve_line(lines, lines.versions["first"])


def test_the_first_challenger_becomes_champion_by_its_smoke_test_alone(lines: Lines, client: Client) -> None:
    first = lines.versions["first"]
    assert lines.verdicts()[first] == ("Promoted", "Bootstrap")
    eventually("the champion alias moved", lambda: lines.aliases() == {"champion": first}, 60)
    with lines.system.mlflow() as mlflow:
        version = mlflow.versions(lines.model)[int(first) - 1]
        owner = tags(mlflow.get("registered-models/get", name=lines.model)["registered_model"])["modelcycle.dev/owner"]
    assert json.loads(tags(version)["modelcycle.dev/rollout"])["verdict"] == "Promoted"
    assert f"/{lines.kube.namespace}/{NAME}/" in owner
    answered = client.ask([1.0], [2.0], [3.0])
    assert answered["predictions"] == [2, 4, 6]
    assert set(answered["versions"]) == {first}
    assert reasons_of(lines.kube, NAME).count("Promoted") == 1


def test_feedback_counts_once_and_only_with_a_token_of_ours(lines: Lines, client: Client) -> None:
    first, second, third = client.ask([1.0], [2.0], [3.0])["tokens"]
    forged = second[:-4] + ("AAAA" if second[-4:] != "AAAA" else "BBBB")
    said = client.tell(
        {"token": first, "label": 2.5},
        {"token": first, "label": 2.5},
        {"token": forged, "label": 4.0},
        {"token": "no token at all", "label": 4.0},
        {"token": third, "label": None},
    )
    assert (said["accepted"], said["results"]) == (2, ["accepted", "duplicate", "forged", "malformed", "accepted"])
    assert [bool(reason) for reason in said["reasons"]] == [False, True, True, True, False]
    # Whichever replica it comes to, and in whatever order.
    for _ in range(4):
        assert client.tell({"token": first, "label": 2.5})["results"] == ["duplicate"]
    told = {"nonfinite": 1, "rows": 1, "loss_positive": 0.25, "rejected": 7}
    # Prometheus scrapes one replica after the other: all that was told is there after a round of them, and no more than that.
    seen = lambda: {name: counted(lines, f"modelcycle_feedback_{name}_total") for name in told}  # noqa: E731
    eventually("Prometheus to have seen it", lambda: seen() == told, 60)


def test_a_version_whose_smoke_test_fails_is_rejected_and_nothing_is_served_worse(lines: Lines, client: Client) -> None:
    before, stable = lines.status()["stable"], lines.status()["stable"]["version"]
    uids = {pod["uid"] for pod in lines.pods(stable)}
    wrong = lines.versions["wrong"]
    with client.load() as result:
        lines.challenge(wrong)
        assert lines.until_verdict(wrong) == ("Rejected", "SmokeFailed")
    assert result()["failures"] == []
    assert set(result()["versions"]) == {stable}
    said = next(one for one in lines.status()["verdicts"] if one["version"] == wrong)["message"]
    for words in ("output y, row 0", "expected 7.0, got 3.0", "3 of 3 values differ"):
        assert words in said
    assert lines.status()["stable"] == before
    assert {pod["uid"] for pod in lines.pods(stable)} == uids
    assert condition(lines.deployment(), "Ready")["status"] == "True"
    eventually("its pods gone", lambda: not lines.pods(wrong), 90)
    eventually("its alias gone", lambda: lines.aliases() == {"champion": stable}, 60)
    (event,) = [one for one in events_of(lines.kube, NAME) if one["reason"] == "Rejected"]
    assert (event["type"], "SmokeFailed" in event["note"]) == ("Warning", True)


def test_a_new_version_takes_over_without_a_failed_request(lines: Lines, client: Client) -> None:
    old, new = lines.versions["first"], lines.versions["second"]
    with client.load() as result:
        lines.challenge(new)
        assert lines.until_verdict(new) == ("Promoted", "StepsPassed")
        lines.until_serving(new)
        eventually("the old pods gone", lambda: not lines.pods(old), 120)
    sent = result()
    assert sent["failures"] == []
    assert sent["versions"][new] >= 20
    eventually("the champion alias moved", lambda: lines.aliases() == {"champion": new}, 60)
    # A pod on its way out answers until it has drained.
    eventually("only the new version answering", lambda: client.serving() == {new}, 90)
    told = reasons_of(lines.kube, NAME)
    assert told.count("StepPassed") == 2
    assert lines.status()["previous"]["version"] == old


def test_a_person_rolls_back_by_pinning_a_version_and_takes_the_pin_away(lines: Lines, client: Client) -> None:
    champion = lines.aliases()["champion"]
    other = next(v for name, v in lines.versions.items() if name != "wrong" and v != champion)
    with client.load() as result:
        patch(lines, {"spec": {"model": {"version": other}}})
        lines.until_serving(other)
        eventually("only the pinned version answering", lambda: client.serving() == {other}, 90)
        assert lines.aliases() == {"champion": champion}, "a pin leaves aliases alone"
        patch(lines, {"spec": {"model": {"version": None}}})
        lines.until_serving(champion)
    assert result()["failures"] == []


def test_a_pod_that_is_deleted_under_load_fails_no_request(lines: Lines, client: Client) -> None:
    stable = lines.stable()
    assert stable
    eventually("two pods", lambda: len([p for p in lines.pods(stable) if is_pod_ready(p)]) == 2, 120)
    victim = lines.pods(stable)[0]
    with client.load() as result:
        lines.kube.kubectl("delete", "pod", victim["name"], "--wait=true")
        eventually("two pods again", lambda: len([p for p in lines.pods(stable) if is_pod_ready(p)]) == 2, 120)
    assert result()["failures"] == []
    assert sum(result()["versions"].values()) > 100


def test_deleting_the_resources_takes_all_of_it_away(system: System, lines: Lines, client: Client) -> None:
    namespace = lines.kube.namespace
    slow = training(system, namespace, "unfinished", "line.py", parameters=parameters(seconds="300"))
    lines.kube.apply([slow])
    eventually("the unfinished training's run", lambda: running(lines, "unfinished"), 120)
    run_id = lines.kube.get("modeltraining", "unfinished")["status"]["run"]["id"]  # type: ignore[index]
    lines.kube.kubectl("delete", "mt,md,rp", "--all", "--wait=true")
    kinds = "jobs,deployments,replicasets,services,secrets,poddisruptionbudgets,pods"

    def left() -> list[str]:
        return [name for name in lines.kube.kubectl("get", kinds, "-o", "name").split() if name != "pod/client"]

    eventually("nothing left of it", lambda: left() == [], 150)
    with system.mlflow() as mlflow:
        eventually("the run's end", lambda: mlflow.run(run_id)["info"]["status"] == "KILLED", 120)
        assert len(mlflow.versions(lines.model)) == len(lines.versions), "what is registered stays"


# --- help ------------------------------------------------------------------------------------------------------------
def running(lines: Lines, name: str) -> bool:
    return bool(condition(lines.kube.get("modeltraining", name) or {}, "Succeeded")["reason"] == "Running")


def patch(lines: Lines, change: dict[str, object]) -> None:
    lines.kube.kubectl("patch", "modeldeployment", NAME, "--type=merge", "-p", json.dumps(change))


def counted(lines: Lines, metric: str) -> float:
    return lines.system.counted(f'{metric}{{namespace="{lines.kube.namespace}"}}')
