"""What holds a rollout up, what ends it badly, and that a verdict is final."""

from __future__ import annotations

from typing import Any

import pytest

from modelcycle import constants as names
from tests.unit.deployment.histories import half, rejected, rolling
from tests.unit.deployment.outside import Live, crashed, pulling
from tests.unit.deployment.world import World


# --- holding, failing, waiting ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("live", "reason"),
    [
        pytest.param(Live(requests=200, errors=20), "ErrorRate", id="too many errors"),
        pytest.param(Live(requests=20, errors=10), "ErrorRate", id="errors that can no longer be made good"),
        pytest.param(Live(requests=200, seconds=0.9), "Latency", id="too slow"),
        pytest.param(Live(requests=200, losses=(4.0, 5.0) * 30), "LossVeto", id="live loss is worse"),
    ],
)
def test_a_bad_candidate_is_rejected_with_the_numbers(live: Live, reason: str) -> None:
    world = rolling()
    world.live = {"1": Live(requests=200, losses=(1.0, 1.5) * 30), "2": live}
    world.settle()
    assert (world.stable, world.verdict("2")) == ("1", f"Rejected/{reason}")
    assert world.registry.aliases == {"champion": "1"}
    assert any(character.isdigit() for character in world.status.verdicts[-1].message)
    assert world.pods == {"1": 2}
    assert names.ANNOTATION_RETRY in world.status.summary


@pytest.mark.parametrize(
    ("action", "end"),
    [
        pytest.param("Hold", None, id="Hold waits on"),
        pytest.param("Proceed", "Promoted/StepsPassed", id="Proceed takes the step"),
        pytest.param("Fail", "Rejected/NoData", id="Fail rejects"),
    ],
)
@pytest.mark.parametrize("prometheus", [pytest.param(True, id="no requests"), pytest.param(False, id="no Prometheus")])
def test_no_data_is_neither_pass_nor_fail(action: str, end: str | None, prometheus: bool) -> None:
    world = rolling(**half(onNoData=action, maxWait="10m"))
    world.prometheus_up = prometheus
    world.settle()
    assert world.verdict("2") is None, "before maxWait"
    world.tick(seconds=900)
    world.settle(4)
    assert world.verdict("2") == end
    if end is None:
        assert world.condition("Progressing") == f"True/{'TooFewRequests' if prometheus else 'MetricsUnavailable'}"


def test_stale_metrics_are_unknown() -> None:
    world = rolling()
    world.settle(2)
    world.prometheus_up = False
    world.live["2"] = Live(requests=200, errors=200)
    world.tick(seconds=120)
    assert (world.verdict("2"), world.condition("Progressing")) == (None, "True/MetricsUnavailable")


def test_waiting_for_labels() -> None:
    world = rolling(**half(minLabels=50))
    world.answered()
    world.settle()
    assert world.condition("Progressing") == "True/TooFewLabels"
    world.live["2"] = Live(requests=200, losses=(1.0,) * 50)
    world.settle()
    assert world.verdict("2") == "Promoted/StepsPassed"


def test_counts_go_to_the_status_in_tenths_only() -> None:
    world = rolling()
    world.settle(2)
    writes = world.writes
    for requests in range(1, 10):
        world.live["2"] = Live(requests=requests)
        world.tick()
    assert world.writes == writes
    world.live["2"] = Live(requests=47)
    world.tick()
    assert world.status.candidate is not None
    assert (world.status.candidate.requests, world.writes) == (40, writes + 1)


def test_an_unready_stable_version_does_not_hold_a_rollout_up() -> None:
    world = rolling()
    world.unready.add("1")
    world.live["2"] = Live(requests=200, seconds=0.9)
    world.settle()
    assert world.verdict("2") == "Promoted/StepsPassed"


# --- pods that do not start ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("container", "reason"),
    [
        pytest.param(crashed("SmokeFailed", "output y, row 3: expected 1, got 2"), "SmokeFailed", id="smoke failed"),
        pytest.param(crashed("ModelUnusable", "opset 99"), "ModelUnusable", id="model can't be loaded"),
        pytest.param(crashed("Digest", "model.onnx differs", init=True), "DigestMismatch", id="digest differs"),
        pytest.param(crashed("Missing", "model.onnx", init=True), "FilesMissing", id="file is missing"),
    ],
)
def test_a_candidate_that_can_not_be_served_is_rejected_in_its_own_words(container: Any, reason: str) -> None:
    world = World().serving()
    world.broken["2"] = container
    world.challenge("2")
    world.settle()
    assert (world.stable, world.verdict("2")) == ("1", f"Rejected/{reason}")
    assert world.pods == {"1": 2}
    assert (
        "model.onnx" in world.status.verdicts[-1].message
        or "row 3" in world.status.verdicts[-1].message
        or ("opset" in world.status.verdicts[-1].message)
    )


def test_image_trouble_is_told_and_waited_for_until_time_is_up() -> None:
    world = World().serving()
    world.broken["2"] = pulling()
    world.challenge("2")
    world.settle()
    assert (world.verdict("2"), world.condition("Progressing")) == (None, "True/ImagePull")
    assert "no such image" in world.message("Progressing")
    world.tick(seconds=700)
    world.settle(3)
    assert world.verdict("2") == "Rejected/NotReady"


def test_a_candidate_is_not_blamed_for_mlflow_being_down() -> None:
    world = World().serving()
    world.broken["2"] = crashed("Unavailable", "MLflow does not answer", init=True)
    world.challenge("2")
    world.settle()
    world.tick(seconds=7200)
    world.settle(3)
    assert (world.verdict("2"), world.condition("Progressing")) == (None, "True/FilesUnavailable")
    world.broken.clear()
    world.answered()
    world.until("half")


def test_stable_pods_that_crash_are_degraded_with_why() -> None:
    world = World().serving()
    world.broken["1"] = crashed("DeviceFault", "out of memory")
    world.settle(2)
    assert world.condition("Degraded") == "True/Crashing"
    assert "out of memory" in world.message("Degraded")
    assert world.condition("Ready") == "False/PodsNotReady"
    assert world.told("Crashing") == 1


def test_a_version_that_mlflow_can_not_give_is_rejected_without_pods() -> None:
    world = World().serving()
    world.registry.unusable["2"] = ("UnsupportedFlavor", "the model is a pickle: log it with mlflow.onnx")
    world.challenge("2")
    world.settle()
    assert world.verdict("2") == "Rejected/UnsupportedFlavor"
    assert "pickle" in world.status.verdicts[-1].message
    assert world.registry.aliases == {"champion": "1"}


def test_a_refusal_of_mlflow_is_no_verdict_of_the_version() -> None:
    world = World().serving()
    world.registry.unusable["2"] = ("Refused", "403")
    world.challenge("2")
    world.settle()
    assert (world.verdict("2"), world.condition("Degraded")) == (None, "True/Refused")


# --- verdicts are final ----------------------------------------------------------------------------------------------
def test_a_judged_version_is_not_rolled_again() -> None:
    world = rejected()
    world.challenge("2")
    world.settle()
    assert (world.candidate, world.told("RolloutStarted")) == (None, 2)


def test_retry_forgets_the_verdict_once_for_each_new_value() -> None:
    world = rejected()
    world.live.clear()
    world.retried.add("2")
    world.annotations[names.ANNOTATION_RETRY] = "2 2026-03-01T13:00:00Z"
    world.until("half")
    assert (world.candidate, world.registry.aliases["challenger"]) == ("2", "2")
    world.live["2"] = Live(requests=200, errors=100)
    world.settle()
    assert (world.verdict("2"), world.candidate) == ("Rejected/ErrorRate", None)
    assert world.told("RetryRequested") == 1


@pytest.mark.parametrize("value", ["1", "7", "nonsense", "22"], ids=["serves", "never judged", "no number", "other"])
def test_retry_of_something_else_is_echoed_and_ignored(value: str) -> None:
    world = rejected()
    world.annotations[names.ANNOTATION_RETRY] = value
    world.settle()
    assert (world.verdict("2"), world.status.handled.retry) == ("Rejected/ErrorRate", value)
    assert world.told("RetryIgnored") == 1


def test_challenger_alias_that_names_another_version_by_then_is_left_alone() -> None:
    world = rolling()
    world.live["2"] = Live(requests=200, errors=100)
    while world.verdict("2") is None:
        world.tick()
    world.challenge("3")
    world.settle(3)
    assert world.registry.aliases == {"champion": "1", "challenger": "3"}
    world.until("half")
    assert world.candidate == "3"
