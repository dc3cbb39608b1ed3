"""A domain for tests of the core: a ModelTraining that makes a Job and says so. Run as a program it is an operator."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import uvloop

from modelcycle import app, cli
from modelcycle.api.v1alpha1.training import TrainingStatus
from modelcycle.cluster.views import View
from modelcycle.constants import LABEL_MANAGED_BY, LABEL_OWNER_UID, MANAGED_BY
from modelcycle.core.conditions import FALSE, TRUE, Judgement, merge
from modelcycle.core.names import child_name
from modelcycle.core.observed import JobView, Observed, Resource
from modelcycle.core.plan import Event, Facts, Manifest, Outcomes, Plan, Ref
from modelcycle.runtime.logs import LogFormat, set_up
from modelcycle.runtime.ports import CacheReader, Key
from modelcycle.settings import Settings

AnyResource = Resource[Any, Any]


class ToyDomain:
    """One suspended Job for each training; ``Ready`` says whether it is there."""

    kind = "ModelTraining"

    def observe(
        self, resource: AnyResource, cache: CacheReader, outcomes: Outcomes, facts: Facts, settings: Settings
    ) -> Observed[Any, Any]:
        jobs = cache.owned(JobView, resource.uid)
        return Observed(resource, settings, jobs=jobs, outcomes=outcomes, facts=facts)

    def expected(self, resource: AnyResource) -> Iterable[Ref]:
        made = any(condition.status is TRUE for condition in resource.status.conditions)
        return [Ref("batch/v1", "Job", resource.namespace, job_name(resource))] if made else []

    def decide(self, observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        resource, status = observed.resource, observed.resource.status
        verdict = Judgement("Ready", TRUE, "JobMade") if observed.jobs else Judgement("Ready", FALSE, "NoJob")
        return Plan(
            status=TrainingStatus(
                conditions=merge(status.conditions, [verdict], resource.generation, now),
                observed_generation=resource.generation,
                summary=f"{len(observed.jobs)} Jobs",
            ),
            apply=(job_manifest(resource),),
            events=(Event("JobMade", f"made Job {job_name(resource)}", "job-1"),) if observed.jobs else (),
        )

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        return ()


def job_name(resource: AnyResource) -> str:
    return child_name(resource.name, resource.uid, 1)


def job_manifest(resource: AnyResource) -> Manifest:
    labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_OWNER_UID: resource.uid}
    owner = {
        "apiVersion": "modelcycle.dev/v1alpha1",
        "kind": "ModelTraining",
        "name": resource.name,
        "uid": resource.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    pod = {"restartPolicy": "Never", "containers": [{"name": "train", "image": resource.spec.image}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "namespace": resource.namespace,
            "name": job_name(resource),
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {"suspend": True, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }


def main() -> None:
    options = cli.run_options({}, os.environ)
    set_up(LogFormat.JSON)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(app.run(options, [ToyDomain()]))


if __name__ == "__main__":
    main()
