"""A training with the answers that the outside gives, driven pass by pass as the runtime does it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from modelcycle import constants as names
from modelcycle.api.v1alpha1.common import ModelFile
from modelcycle.api.v1alpha1.training import TrainingSpec, TrainingStatus
from modelcycle.core.conditions import find
from modelcycle.core.observed import ContainerView, JobView, Observed, PodView, Resource
from modelcycle.core.plan import Effect, Outcome, Plan
from modelcycle.registry.port import EndRun, EnsureRun, FindRegistered, RegisterModel, RunInfo, SetAlias, VersionInfo
from modelcycle.settings import Endpoints, MlflowEndpoint, Settings
from modelcycle.training.children import job_name
from modelcycle.training.decide import decide

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"
SETTINGS = Settings(
    cluster_id="c1",
    serving_image="serving",
    endpoints=Endpoints(mlflow=(MlflowEndpoint(name="default", url="http://mlflow:5000"),)),
)
RUN = RunInfo("run1", "7", "mlflow-artifacts:/7/run1/artifacts")
VERSION = VersionInfo(
    model="quant.hedge",
    version="3",
    run_id="run1",
    model_root="mlflow-artifacts:/7/models/m-1/artifacts",
    run_root=RUN.artifact_uri,
    files=(ModelFile(path="model/model.onnx", size=10, sha256="a" * 64),),
    digest="b" * 64,
)


class World:
    """``see_job``, ``see_pod``: what the cluster shows; ``step`` decides once and takes the plan's status over.

    A Job that is applied is seen, and ``pods_come``, unless no pod can be made.
    """

    def __init__(self, **spec: Any) -> None:
        document = {"image": "train:1", "register": {"model": "quant.hedge"}} | spec
        self.spec = TrainingSpec.model_validate(document)
        self.status = TrainingStatus()
        self.jobs: tuple[JobView, ...] = ()
        self.pods: tuple[PodView, ...] = ()
        self.answers: dict[type[Effect], Outcome] = {
            FindRegistered: Outcome(NOW),
            EnsureRun: Outcome(NOW, RUN),
            RegisterModel: Outcome(NOW, VERSION),
            SetAlias: Outcome(NOW),
            EndRun: Outcome(NOW),
        }
        self.outcomes: dict[Effect, Outcome] = {}
        self.applied: dict[str, Any] = {}
        self.deleted: list[str] = []
        self.events: list[str] = []
        self.asked: list[Effect] = []
        self.now = NOW
        self.since: datetime | None = None
        self.rush = False
        self.pods_come = True
        self.settings = SETTINGS

    def observed(self) -> Observed[TrainingSpec, TrainingStatus]:
        resource = Resource(
            namespace="quant",
            name="hedge",
            uid=UID,
            generation=1,
            resource_version="1",
            created=NOW,
            spec=self.spec,
            status=self.status,
            raw_spec={},
        )
        return Observed(
            resource,
            self.settings,
            jobs=self.jobs,
            pods=self.pods,
            outcomes=self.outcomes,
            since=self.since,
            rush=self.rush,
        )

    def step(self) -> Plan[TrainingStatus]:
        plan = decide(self.observed(), self.now)
        again = decide(self.observed(), self.now)
        assert plan == again, "the same observation must give the same plan"
        self.applied |= {manifest["metadata"]["name"]: manifest for manifest in plan.apply}
        self.deleted += [ref.name for ref in plan.delete]
        self.events += [event.reason for event in plan.events]
        for effect in plan.effects:
            self.asked.append(effect)
            if type(effect) in self.answers:
                self.outcomes[effect] = self.answers[type(effect)]
        self.status = plan.status
        for job in plan.apply:
            if job["kind"] == "Job" and job["metadata"]["name"] not in {seen.name for seen in self.jobs}:
                number = int(job["metadata"]["labels"][names.LABEL_ATTEMPT])
                self.see_job(number, run_id=_run_of(job))
                if self.pods_come:
                    self.see_pod(number, "Pending")
        return plan

    def settle(self, passes: int = 8) -> Plan[TrainingStatus]:
        plan = self.step()
        for _ in range(passes):
            plan = self.step()
        return plan

    def reason(self, type_: str = "Succeeded") -> str:
        condition = find(self.status.conditions, type_)
        return f"{condition.status.value}/{condition.reason}" if condition else "absent"

    def job_spec(self, number: int) -> Any:
        return self.applied[job_name(self.observed().resource, number)]["spec"]

    def see_job(self, number: int, **fields: Any) -> None:
        job = JobView(
            namespace="quant",
            name=job_name(self.observed().resource, number),
            uid=f"job{number}",
            labels={names.LABEL_ATTEMPT: str(number)},
            spec_hash=None,
            created=self.now,
            start_time=self.now,
            **fields,
        )
        self.jobs = (*(j for j in self.jobs if j.name != job.name), job)

    def see_pod(
        self, number: int, phase: str = "Running", container: ContainerView | None = None, **fields: Any
    ) -> None:
        pod = PodView(
            namespace="quant",
            name=f"pod{number}",
            uid=f"pod{number}",
            labels={names.LABEL_ATTEMPT: str(number)},
            created=self.now,
            phase=phase,
            node="node-1",
            containers=(container or ContainerView("train", running=phase == "Running"),),
            **fields,
        )
        self.pods = (*(p for p in self.pods if p.name != pod.name), pod)

    def fail(self, number: int, **container: Any) -> None:
        self.see_job(number, failed=True, failed_reason="BackoffLimitExceeded")
        self.see_pod(number, "Failed", ContainerView("train", finished_at=self.now, **container))


def _run_of(job: Any) -> str:
    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return next(str(given["value"]) for given in variables if given["name"] == "MLFLOW_RUN_ID")


def running(world: World) -> World:
    world.settle()
    world.see_job(1, active=1)
    world.see_pod(1)
    world.settle()
    return world
