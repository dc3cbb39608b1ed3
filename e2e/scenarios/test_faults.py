"""Faults of pods' own making: each is told apart, said with what to do, and leaves nothing behind."""

from __future__ import annotations

import pytest

from e2e.demo.kube import condition
from e2e.scenarios.faults import FAULTS, Failing, Fault
from e2e.scenarios.manifests import code, training
from e2e.scenarios.system import Json, System, events_of, eventually, reasons_of, until_equal

WAREHOUSE = "warehouse"


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_a_training_that_fails_says_why(system: System, failing: Failing, fault: Fault) -> None:
    seen = failing.trainings[fault.name]
    succeeded = condition(seen, "Succeeded")
    assert (succeeded["status"], succeeded["reason"]) == ("False", fault.reason)
    for words in fault.words:
        assert words in succeeded["message"]
    started = fault.reason != "ImageUnavailable"
    assert ("kubectl logs" in succeeded["message"]) == started, "it says where to look next, if anything is there"
    assert condition(seen, "Stalled")["status"] == "True"
    assert condition(seen, "Ready")["status"] == "False"
    assert condition(seen, "Registered")["status"] == "False"
    assert seen["status"]["summary"] == succeeded["message"]
    assert [attempt["number"] for attempt in seen["status"]["attempts"]] == [1], "the same again would fail again"


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_a_training_that_fails_is_told_as_events_once(system: System, failing: Failing, fault: Fault) -> None:
    assert failing.trainings[fault.name]
    told = events_of(system.namespace(fault.namespace), fault.name)
    ends = [event for event in told if event["reason"] == "TrainingFailed"]
    assert [event["type"] for event in ends] == ["Warning"]
    assert fault.reason in ends[0]["note"]
    reasons = [event["reason"] for event in told]
    assert reasons.count("AttemptStarted") == 1


@pytest.mark.parametrize("fault", [pytest.param(fault, id=fault.name) for fault in FAULTS])
def test_a_training_that_fails_ends_its_run_and_registers_nothing(
    system: System, failing: Failing, fault: Fault
) -> None:
    run_id = failing.trainings[fault.name]["status"]["run"]["id"]
    with system.mlflow() as mlflow:
        until_equal("the run's end", lambda: mlflow.run(run_id)["info"]["status"], "FAILED", 300)
        assert mlflow.versions(f"{fault.namespace}.line") == []
    kube = system.namespace(fault.namespace)
    open_phases = ("Pending", "Running")
    until_equal(
        "pods that still run",
        lambda: [pod["metadata"]["name"] for pod in kube.items("pods") if pod["status"]["phase"] in open_phases],
        [],
        300,
    )


def test_out_of_memory_is_the_kernels_word_and_not_a_guess(failing: Failing) -> None:
    (pod,) = failing.pods["out-of-memory"]
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_a_training_waits_for_a_secret_that_is_missing_and_goes_on_by_itself(system: System) -> None:
    kube = system.namespace("fault-secret")
    reference = {"name": "TOKEN", "secretKeyRef": {"name": WAREHOUSE, "key": "token"}}
    kube.apply([code(kube.namespace), training(system, kube.namespace, "waits", "line.py", env=[reference])])

    def told(status: str, reason: str) -> Json | None:
        """The training, once its condition is that."""
        seen = kube.get("modeltraining", "waits") or {}
        found = condition(seen, "Succeeded")
        return seen if (found["status"], found["reason"]) == (status, reason) else None

    seen = eventually("that it says what is missing", lambda: told("Unknown", "ConfigMissing"), 600)
    message = condition(seen, "Succeeded")["message"]
    assert WAREHOUSE in message
    assert "goes on by itself" in message
    kube.kubectl("create", "secret", "generic", WAREHOUSE, "--from-literal=token=abc")
    seen = eventually("that it goes on", lambda: told("True", "Registered"), 900)
    assert len(seen["status"]["attempts"]) == 1
    assert "blockedSince" not in seen["status"]
    assert reasons_of(kube, "waits").count("ConfigMissing") == 1
