"""The table of failures: how they are told apart, and which of them are tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from modelcycle.api.v1alpha1.training import FailureClass
from modelcycle.core.conditions import find
from modelcycle.core.observed import ContainerView
from modelcycle.registry.port import EndRun, RunStatus
from tests.unit.training.world import NOW, World, running


@pytest.mark.parametrize(
    ("container", "pod", "expected"),
    [
        pytest.param({"exit_code": 1, "terminated_message": "Traceback\nValueError: x"}, {}, "UserError", id="raises"),
        pytest.param({"exit_code": 65}, {}, "DataError", id="says that its data is bad"),
        pytest.param({"exit_code": 70}, {}, "NonFiniteLoss", id="has a NaN loss"),
        pytest.param(
            {"exit_code": 137, "terminated_reason": "OOMKilled"}, {}, "OutOfMemory", id="needs too much memory"
        ),
        pytest.param({"exit_code": 75}, {}, "DeviceFault", id="has a broken GPU"),
        pytest.param({"exit_code": 137}, {}, "Unknown", id="is killed from outside"),
        pytest.param({"exit_code": 143}, {"disruption": "EvictionByEvictionAPI"}, "Disrupted", id="is evicted"),
        pytest.param({}, {"reason": "Evicted", "message": "low on disk"}, "Disrupted", id="is evicted by the kubelet"),
        pytest.param({}, {"reason": "UnexpectedAdmissionError"}, "DeviceFault", id="gets no healthy device"),
        pytest.param(
            {"exit_code": 1, "terminated_message": '{"modelcycle": 1, "class": "DataError", "message": "no rows"}'},
            {},
            "DataError",
            id="gives its own class",
        ),
    ],
)
def test_failures_are_told_apart(container: dict[str, Any], pod: dict[str, Any], expected: str) -> None:
    world = running(World(retries={"userErrors": 0, "disruptions": 0, "infrastructure": 0}))
    world.see_job(1, failed=True, failed_reason="BackoffLimitExceeded")
    world.see_pod(1, "Failed", ContainerView("train", finished_at=NOW, **container), **pod)
    world.settle()
    assert world.status.failures == (FailureClass(expected),)
    assert world.reason() == f"False/{expected}"
    assert [e.status for e in world.asked if isinstance(e, EndRun)] == [RunStatus.FAILED]
    assert world.status.registered is None


def test_the_last_lines_of_the_traceback_reach_the_condition() -> None:
    world = running(World())
    world.fail(1, exit_code=1, terminated_message="Traceback (most recent call last)\n  ...\nKeyError: 'close'")
    world.settle()
    condition = find(world.status.conditions, "Succeeded")
    assert condition is not None
    assert "KeyError: 'close'" in condition.message


def test_each_kind_of_failure_has_its_own_budget() -> None:
    world = running(World(retries={"userErrors": 1, "disruptions": 2, "infrastructure": 0}))
    for number in (1, 2, 3):
        disrupted = number < 3
        world.fail(number, exit_code=143 if disrupted else 1, terminated_message="x")
        world.settle()
        assert world.reason() == "Unknown/Retrying"
        world.now += timedelta(minutes=10)
        world.settle()
        world.see_job(number + 1, active=1)
    world.fail(4, exit_code=1, terminated_message="again")
    world.settle()
    assert world.reason() == "False/UserError"
    assert [f.value for f in world.status.failures] == ["Disrupted", "Disrupted", "UserError", "UserError"]
    assert list(world.applied) == [f"hedge-11111-{n}" for n in (1, 2, 3, 4)]


def test_a_failure_is_counted_once_however_often_it_is_seen() -> None:
    world = running(World(retries={"userErrors": 3}))
    world.fail(1, exit_code=1)
    world.settle(20)
    assert world.status.failures == (FailureClass.USER_ERROR,)
    assert world.events.count("UserError") == 1


def test_a_retry_waits_longer_each_time() -> None:
    world = running(World(retries={"userErrors": 3}))
    world.fail(1, exit_code=1)
    plan = world.settle()
    assert plan.look_again == timedelta(seconds=10)
    world.now += timedelta(seconds=10)
    world.settle()
    assert "hedge-11111-2" in world.applied


def out_of_time(world: World, *, pod: bool) -> str:
    """What is said of a training whose Job's time is over; Kubernetes takes the pod away then."""
    world.see_job(1, failed=True, failed_reason="DeadlineExceeded", deadline=20)
    world.pods = world.pods if pod else ()
    world.settle()
    assert world.reason() == "False/DeadlineExceeded"
    return world.status.summary


@pytest.mark.parametrize("pod", [True, False])
def test_a_job_that_ran_out_of_time_while_its_pod_waited_says_so(pod: bool) -> None:
    world = World(deadlineSeconds=20)
    world.settle()
    world.see_job(1, active=1, deadline=20)
    world.see_pod(1, "Pending", unschedulable="no node")
    world.settle()
    said = out_of_time(world, pod=pod)
    assert "it waited 20 s (Unschedulable) and its container never started" in said
    assert "kubectl logs" not in said, "there are none"


@pytest.mark.parametrize("pod", [True, False])
def test_a_job_that_ran_out_of_time_while_it_ran_says_so(pod: bool) -> None:
    assert "it took longer than deadlineSeconds allows" in out_of_time(running(World(deadlineSeconds=20)), pod=pod)


def test_a_job_that_ran_out_of_time_is_not_tried_again() -> None:
    world = running(World(retries={"userErrors": 10, "infrastructure": 10}))
    world.see_job(1, failed=True, failed_reason="DeadlineExceeded")
    world.settle()
    assert world.reason() == "False/DeadlineExceeded"
