"""Serving: a version is never taken over by a worse one, and requests don't notice what happens to pods."""

from __future__ import annotations

import json

import pytest

from e2e.demo.kube import condition
from e2e.scenarios.clients import Client
from e2e.scenarios.lines import NAME, Lines, serve_line
from e2e.scenarios.manifests import parameters, training
from e2e.scenarios.system import System, events_of, eventually, reasons_of, tags, until_equal


@pytest.fixture(scope="module")
def client(lines: Lines) -> Client:
    return serve_line(lines, lines.versions["first"])


def test_the_first_challenger_becomes_champion_by_its_smoke_test_alone(lines: Lines, client: Client) -> None:
    first = lines.versions["first"]
    assert lines.verdicts()[first] == ("Promoted", "Bootstrap")
    lines.until_aliases(champion=first)
    with lines.system.mlflow() as mlflow:
        # The verdict goes to its version beside the moves of aliases, before or after them.
        rollout = eventually("the verdict on its version", lambda: mlflow.rollouts(lines.model).get(first), 180)
        owner = tags(mlflow.get("registered-models/get", name=lines.model)["registered_model"])["modelcycle.dev/owner"]
    assert rollout["verdict"] == "Promoted"
    assert f"/{lines.kube.namespace}/{NAME}/" in owner
    answered = client.ask([1.0], [2.0], [3.0])
    assert answered["predictions"] == [2, 4, 6]
    assert set(answered["versions"]) == {first}
    assert reasons_of(lines.kube, NAME).count("Promoted") == 1


def test_feedback_counts_once_and_only_with_a_token_of_ours(lines: Lines, client: Client) -> None:
    lines.until_ready(lines.versions["first"])
    until_equal("replicas that know of each other", lambda: len(peers(lines)), 2, 180)
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
    # Prometheus scrapes one replica after the other: after a round of them it has all that was told, and no more.
    until_equal("what Prometheus has seen", lambda: feedback(lines, *told), told, 300)


def test_a_version_whose_smoke_test_fails_is_rejected_and_nothing_is_served_worse(lines: Lines, client: Client) -> None:
    wrong, stable = lines.versions["wrong"], str(lines.stable())
    lines.until_ready(stable)
    before, uids = at_rest(lines), {pod["uid"] for pod in lines.pods(stable)}
    with client.load() as result:
        lines.challenge(wrong)
        assert lines.until_verdict(wrong) == ("Rejected", "SmokeFailed")
    assert result()["failures"] == []
    assert set(result()["versions"]) == {stable}
    said = next(one for one in lines.status()["verdicts"] if one["version"] == wrong)["message"]
    for words in ("output y, row 0", "expected 7.0, got 3.0", "3 of 3 values differ"):
        assert words in said
    assert {pod["uid"] for pod in lines.pods(stable)} == uids
    assert condition(lines.deployment(), "Ready")["status"] == "True"
    lines.until_gone(wrong)
    lines.until_aliases(champion=stable)
    assert at_rest(lines) == before
    (event,) = [one for one in events_of(lines.kube, NAME) if one["reason"] == "Rejected"]
    assert (event["type"], "SmokeFailed" in event["note"]) == ("Warning", True)


def test_a_new_version_takes_over_without_a_failed_request(lines: Lines, client: Client) -> None:
    old, new = lines.versions["first"], lines.versions["second"]
    with client.load() as result:
        lines.challenge(new)
        assert lines.until_verdict(new) == ("Promoted", "StepsPassed")
        lines.until_serving(new)
        lines.until_gone(old)
    sent = result()
    assert sent["failures"] == []
    assert sent["versions"][new] >= 20
    lines.until_aliases(champion=new)
    # A pod on its way out answers until it has drained.
    until_equal("versions that answer", client.serving, {new}, 300)
    told = reasons_of(lines.kube, NAME)
    assert told.count("StepPassed") == 2
    assert lines.status()["previous"]["version"] == old


def test_a_person_rolls_back_by_pinning_a_version_and_takes_the_pin_away(lines: Lines, client: Client) -> None:
    champion = str(lines.stable())
    lines.until_aliases(champion=champion)
    other = next(v for name, v in lines.versions.items() if name != "wrong" and v != champion)
    with client.load() as result:
        patch(lines, {"spec": {"model": {"version": other}}})
        lines.until_serving(other)
        until_equal("versions that answer", client.serving, {other}, 300)
        assert lines.aliases() == {"champion": champion}, "a pin leaves aliases alone"
        patch(lines, {"spec": {"model": {"version": None}}})
        lines.until_serving(champion)
    assert result()["failures"] == []


def test_a_pod_that_is_deleted_under_load_fails_no_request(lines: Lines, client: Client) -> None:
    stable = lines.stable()
    assert stable
    lines.until_ready(stable)
    victim = lines.pods(stable)[0]
    with client.load() as result:
        lines.kube.kubectl("delete", "pod", victim["name"], "--wait=true")
        lines.until_ready(stable)
        eventually("more than a hundred answers", lambda: client.answered() > 100, 300)
    assert result()["failures"] == []
    assert sum(result()["versions"].values()) > 100


def test_deleting_the_resources_takes_all_of_it_away(system: System, lines: Lines, client: Client) -> None:
    namespace = lines.kube.namespace
    slow = training(system, namespace, "unfinished", "line.py", parameters=parameters(seconds="900"))
    lines.kube.apply([slow])
    eventually("the unfinished training's run", lambda: running(lines, "unfinished"), 600)
    run_id = lines.kube.get("modeltraining", "unfinished")["status"]["run"]["id"]  # type: ignore[index]
    lines.kube.kubectl("delete", "mt,md,rp", "--all", "--wait=true")
    kinds = "jobs,deployments,replicasets,services,secrets,poddisruptionbudgets,pods"

    def left() -> list[str]:
        return [name for name in lines.kube.kubectl("get", kinds, "-o", "name").split() if name != "pod/client"]

    until_equal("what is left of it", left, [], 600)
    with system.mlflow() as mlflow:
        until_equal("the run's end", lambda: mlflow.run(run_id)["info"]["status"], "KILLED", 600)
        assert len(mlflow.versions(lines.model)) == len(lines.versions), "what is registered stays"


# --- help ------------------------------------------------------------------------------------------------------------
def running(lines: Lines, name: str) -> bool:
    return bool(condition(lines.kube.get("modeltraining", name) or {}, "Succeeded")["reason"] == "Running")


def patch(lines: Lines, change: dict[str, object]) -> None:
    lines.kube.kubectl("patch", "modeldeployment", NAME, "--type=merge", "-p", json.dumps(change))


def feedback(lines: Lines, *names: str) -> dict[str, float]:
    """Counters of feedback, summed over all pods."""
    chosen = f'{{namespace="{lines.kube.namespace}"}}'
    return {name: lines.system.counted(f"modelcycle_feedback_{name}_total{chosen}") for name in names}


def peers(lines: Lines) -> list[str]:
    """Addresses of ready replicas below the name by which they find each other."""
    slices = [one for one in lines.kube.items("endpointslices") if one["metadata"]["name"].startswith(f"{NAME}-")]
    headless = [one for one in slices if "-peers" in one["metadata"]["labels"]["kubernetes.io/service-name"]]
    ready = [end for one in headless for end in one.get("endpoints") or () if end["conditions"].get("ready")]
    return [address for end in ready for address in end["addresses"]]


def at_rest(lines: Lines) -> dict[str, object]:
    """The stable version's record, once it counts all of its pods as ready."""

    def settled() -> dict[str, object] | None:
        stable: dict[str, object] = lines.status()["stable"]
        return stable if (stable.get("replicas"), stable.get("readyReplicas")) == (2, 2) else None

    return eventually("the status of both pods", settled, 300)
