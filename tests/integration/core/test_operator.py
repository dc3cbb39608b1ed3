"""The operator as a process, with a toy domain, against a real API server."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable

from e2e.cluster import Cluster
from modelcycle.core.plan import Manifest
from tests.integration.core.objects import job, training
from tests.integration.core.operator_process import OperatorProcess, wait_until

Start = Callable[[], OperatorProcess]
FAILOVER_SECONDS = 60.0
"""Far more than is promised: tests/integration/ha measures that, and knows how late the machine itself was."""
GIVEN_BACK_SECONDS = 12.0
"""A lease that is not given back runs out 13 s after the holder's end at the earliest."""


def apply(cluster: Cluster, manifest: Manifest) -> None:
    cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))


def get(cluster: Cluster, namespace: str, what: str, *names: str) -> list[Manifest]:
    answer: Manifest = json.loads(cluster.kubectl("-n", namespace, "get", what, *names, "-o", "json"))
    return [answer] if names else list(answer["items"])


def summary(cluster: Cluster, namespace: str, name: str = "a") -> str:
    return str(get(cluster, namespace, "mt", name)[0].get("status", {}).get("summary", ""))


def wait_for_job(cluster: Cluster, namespace: str, name: str = "a") -> Manifest:
    wait_until(lambda: summary(cluster, namespace, name) == "1 Jobs", "the status says that the Job is made")
    return next(one for one in get(cluster, namespace, "job") if one["metadata"]["name"].startswith(f"{name}-"))


def writes(cluster: Cluster, since: int) -> list[str]:
    """What the operator wrote since, but for its Lease."""
    events = [event for event in cluster.audited()[since:] if event.get("userAgent") == "modelcycle"]
    told = [(str(event["verb"]), str(dict(event["objectRef"])["resource"])) for event in events]  # type: ignore[call-overload]
    return [f"{verb} {resource}" for verb, resource in told if verb not in ("get", "list") and resource != "leases"]


def test_a_resource_gets_its_child_its_event_and_its_status(
    control_plane: Cluster, namespace: str, start_operator: Start
) -> None:
    start_operator().wait_for_duty()
    since = len(control_plane.audited())
    apply(control_plane, training(namespace, "a"))
    made = wait_for_job(control_plane, namespace)
    assert made["metadata"]["annotations"]["modelcycle.dev/spec-hash"]
    assert made["metadata"]["ownerReferences"][0]["name"] == "a"
    described = control_plane.kubectl("-n", namespace, "describe", "mt", "a")
    assert f"made Job {made['metadata']['name']}" in described.partition("Events:")[2]
    time.sleep(1)
    assert writes(control_plane, since) == [
        "create jobs",
        "update modeltrainings",
        "create events",
        "update modeltrainings",
    ]


def test_at_rest_and_after_a_resync_of_everything_nothing_is_written(
    control_plane: Cluster, namespace: str, start_operator: Start
) -> None:
    operator = start_operator().wait_for_duty()
    for number in range(5):
        apply(control_plane, training(namespace, f"a{number}"))
    for number in range(5):
        wait_for_job(control_plane, namespace, f"a{number}")
    time.sleep(1)
    since, passes = len(control_plane.audited()), passes_of(operator)
    operator.signal(signal.SIGHUP)
    wait_until(lambda: passes_of(operator) >= passes + 5, "every key was looked at again")
    time.sleep(3)
    assert writes(control_plane, since) == []


def passes_of(operator: OperatorProcess) -> float:
    _, metrics = operator.get("/metrics")
    wanted = 'controller_runtime_reconcile_total{controller="ModelTraining",result="success"}'
    return next((float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith(wanted)), 0.0)


def test_a_child_that_somebody_deletes_or_changes_is_put_right(
    control_plane: Cluster, namespace: str, start_operator: Start
) -> None:
    start_operator().wait_for_duty()
    apply(control_plane, training(namespace, "a"))
    name = wait_for_job(control_plane, namespace)["metadata"]["name"]
    control_plane.kubectl("-n", namespace, "patch", "job", name, "-p", '{"spec":{"suspend":false}}')
    wait_until(lambda: get(control_plane, namespace, "job", name)[0]["spec"]["suspend"], "the Job is suspended again")
    uid = get(control_plane, namespace, "job", name)[0]["metadata"]["uid"]
    control_plane.kubectl("-n", namespace, "delete", "job", name)
    made = wait_until(lambda: get(control_plane, namespace, "job"), "the Job is made again")
    assert made[0]["metadata"]["uid"] != uid


def test_a_child_of_somebody_else_is_never_adopted(
    control_plane: Cluster, namespace: str, start_operator: Start
) -> None:
    apply(control_plane, training(namespace, "a"))
    uid = get(control_plane, namespace, "mt", "a")[0]["metadata"]["uid"]
    foreign = job(namespace, f"a-{uid[:5]}-1", {"modelcycle.dev/owner-uid": "another"})
    apply(control_plane, foreign)
    before = get(control_plane, namespace, "job")[0]["metadata"]["resourceVersion"]
    start_operator().wait_for_duty()

    def conditions() -> list[Manifest]:
        return get(control_plane, namespace, "mt", "a")[0].get("status", {}).get("conditions", [])  # type: ignore[no-any-return]

    stalled = wait_until(lambda: [one for one in conditions() if one["type"] == "Stalled"], "the status tells")[0]
    assert stalled["reason"] == "ForeignObject"
    assert "delete it, or give this resource another name" in stalled["message"]
    described = control_plane.kubectl("-n", namespace, "describe", "mt", "a")
    assert "ReconcileError" in described.partition("Events:")[2]
    assert get(control_plane, namespace, "job")[0]["metadata"]["resourceVersion"] == before
    control_plane.kubectl("-n", namespace, "delete", "job", foreign["metadata"]["name"])
    wait_for_job(control_plane, namespace)
    assert [one["type"] for one in conditions()] == ["Ready"]


def test_sigterm_ends_it_at_once_and_gives_the_lease_back(
    control_plane: Cluster, namespace: str, start_operator: Start
) -> None:
    operator = start_operator().wait_for_duty()
    standby = start_operator()
    standby.wait_until_ready()
    assert holder(control_plane, namespace)
    before, started = holder(control_plane, namespace), time.monotonic()
    assert operator.stop() == 0
    assert holder(control_plane, namespace) != before
    standby.wait_for_duty()
    assert time.monotonic() - started < GIVEN_BACK_SECONDS


def holder(cluster: Cluster, namespace: str) -> str:
    """Who has the lease of this test's replicas, if anybody."""
    leases = json.loads(cluster.kubectl("get", "leases", "--all-namespaces", "-o", "json"))["items"]
    (lease,) = [one for one in leases if one["metadata"]["name"] == namespace]
    return str(lease["spec"].get("holderIdentity") or "")


def test_another_replica_takes_over_when_the_leader_is_killed(
    control_plane: Cluster, namespace: str, start_operator: Start
) -> None:
    leader = start_operator().wait_for_duty()
    standby = start_operator()
    apply(control_plane, training(namespace, "a"))
    wait_for_job(control_plane, namespace)
    standby.wait_until_ready()
    assert not standby.said("on duty")
    leader.kill()
    apply(control_plane, training(namespace, "b"))
    wait_until(lambda: standby.said("on duty"), "the standby is on duty", FAILOVER_SECONDS)
    wait_for_job(control_plane, namespace, "b")
    assert len(get(control_plane, namespace, "job")) == 2


def test_a_leader_that_was_suspended_writes_nothing_when_it_wakes(
    control_plane: Cluster, namespace: str, start_operator: Start
) -> None:
    leader = start_operator().wait_for_duty()
    standby = start_operator()
    standby.wait_until_ready()
    leader.signal(signal.SIGSTOP)
    wait_until(lambda: standby.said("on duty"), "the standby is on duty", FAILOVER_SECONDS)
    apply(control_plane, training(namespace, "a"))
    wait_for_job(control_plane, namespace)
    since = len(control_plane.audited())
    leader.signal(signal.SIGCONT)
    wait_until(lambda: leader.said("no longer holds the lease"), "it knows that it is not the leader")
    # It says so before it lets go of its work.
    wait_until(lambda: leader.get("/metrics")[1].count("modelcycle_leader 0.0") == 1, "its metrics say so")
    assert writes(control_plane, since) == []
