"""The stages of the main job, each of which can be run alone and again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from e2e import install
from e2e.cluster import Cluster, binaries, bring_up
from e2e.demo.collect import gather
from e2e.demo.kube import DemoError, Json, Kube, condition, of_kind, render_sample, words_of
from e2e.demo.looks import KINDS, looking
from e2e.demo.manifests import replay_manifests
from e2e.demo.market import day_of, first_row_from, load_market
from e2e.demo.settings import DEPLOYMENT, FIRST_TRAINING, POLICY, REPLAY, SAMPLE_NAMESPACE, Settings
from e2e.demo.story import events
from e2e.images import Image
from e2e.progress import say, step

REPLAY_SECONDS = 5400
LOOKS = "get-during.txt"


@dataclass(slots=True)
class Run:
    """A run of the demo, as far as it got. ``stages``: seconds of each."""

    settings: Settings
    stages: dict[str, float] = field(default_factory=dict)
    cluster: Cluster | None = None
    images: dict[str, Image] = field(default_factory=dict)

    @property
    def kube(self) -> Kube:
        assert self.cluster is not None, "provide_cluster comes first"
        return Kube(self.cluster, self.settings.namespace)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = round(time.monotonic() - started, 1)

    def sample(self) -> list[Json]:
        assert self.cluster is not None
        changes = install.local_names(self.images) | {SAMPLE_NAMESPACE: self.settings.namespace}
        return render_sample(self.cluster, self.settings.sample, changes)


def provide_cluster(run: Run) -> None:
    """A cluster of the demo's name; one that is up stays."""
    chosen = run.settings
    with run.stage("cluster"):
        run.cluster = bring_up(chosen.cluster, provider=chosen.provider, kubeconfig=chosen.kubeconfig)


def provide_images(run: Run) -> None:
    """All images, built or from the cache, on the cluster's node."""
    assert run.cluster is not None
    with run.stage("images"):
        run.images = install.provide_images(run.cluster)


def install_chart(run: Run) -> None:
    """The chart, with MLflow and Prometheus in it."""
    assert run.cluster is not None
    with run.stage("install"):
        install.install(run.cluster, run.images)


def prepare_data(run: Run) -> None:
    """Namespace, scripts, and the market data on a volume."""
    with run.stage("data"):
        documents = run.sample()
        for kinds in (("Namespace",), ("ConfigMap", "PersistentVolumeClaim")):
            run.kube.apply(of_kind(documents, *kinds))
        if run.kube.get("job", "market-data") is None:
            run.kube.apply(of_kind(documents, "Job"))
        run.kube.wait("job", "market-data", job_is_complete, seconds=1800, what="putting the market data on a volume")


def train_first(run: Run) -> None:
    """The first model, from what was known at the end of 2006."""
    with run.stage("training"):
        run.kube.apply(of_kind(run.sample(), "ModelTraining"))
        run.kube.wait("modeltraining", FIRST_TRAINING, training_is_over, seconds=1800, what="training the first model")


def deploy(run: Run) -> None:
    """The deployment that serves it, and then the policy that watches it."""
    with run.stage("deployment"):
        documents = run.sample()
        run.kube.apply(of_kind(documents, "ModelDeployment"))
        run.kube.wait("modeldeployment", DEPLOYMENT, is_ready, seconds=1800, what="deploying it with two replicas")
        run.kube.apply(of_kind(documents, "RetrainPolicy"))


def replay(run: Run) -> None:
    """History, day by day; goes on where an interrupted one ended."""
    first, last = stretch(run.settings)
    deployment = run.kube.get("modeldeployment", DEPLOYMENT) or {}
    manifests = replay_manifests(
        run.settings, run.images["marketdata"].reference, deployment["status"]["url"], first, last
    )
    with run.stage("replay"):
        existing = run.kube.get("job", REPLAY)
        if existing is not None and job_state(existing) != "Complete":
            # What an interrupted run left: a new Job, with the code of today, goes on with its journal.
            run.kube.kubectl("delete", "job", REPLAY, "--wait=true")
            existing = None
        if existing is None:
            run.kube.apply(manifests)
        with step(f"replaying {first} to {last}", detail=lambda: how_it_goes(run.kube)):
            wait_for_replay(run.kube)


def live(run: Run) -> None:
    """Training, deployment and replay; what ``kubectl get`` says meanwhile is kept."""
    with looking(lambda: run.kube.kubectl("get", KINDS)) as looks:
        for stage in (train_first, deploy, replay):
            stage(run)
    run.settings.gathered.mkdir(parents=True, exist_ok=True)
    (run.settings.gathered / LOOKS).write_text(looks.render())


def collect(run: Run) -> None:
    """Everything that the report is made of, and what people look at, into files."""
    with run.stage("collecting"), step("reading what happened from the cluster, Prometheus and MLflow"):
        gather(run.kube, run.settings)
        (run.settings.gathered / "stages.json").write_text(json.dumps(run.stages))


# --- conditions ------------------------------------------------------------------------------------------------------
def job_state(job: Json) -> str:
    """Complete, Failed or Running."""
    ended = [one["type"] for one in job.get("status", {}).get("conditions", []) if one["status"] == "True"]
    return next((kind for kind in ("Complete", "Failed") if kind in ended), "Running")


def job_is_complete(job: Json) -> bool:
    """Whether the Job is done; raises DemoError when it failed."""
    if job_state(job) == "Failed":
        message = f"the Job {job['metadata']['name']} failed: kubectl logs job/{job['metadata']['name']} says why"
        raise DemoError(message)
    return job_state(job) == "Complete"


def training_is_over(training: Json) -> bool:
    """Whether the training succeeded; raises DemoError when it failed."""
    succeeded = condition(training, "Succeeded")
    if succeeded["status"] == "False":
        message = f"{training['metadata']['name']} failed: {succeeded['reason']}: {succeeded['message']}"
        raise DemoError(message)
    return bool(succeeded["status"] == "True")


def is_ready(resource: Json) -> bool:
    """Whether the resource is Ready."""
    return bool(condition(resource, "Ready")["status"] == "True")


# --- the replay ------------------------------------------------------------------------------------------------------
def stretch(settings: Settings) -> tuple[str, str]:
    """First and last trading day that are replayed."""
    table = load_market()
    first = first_row_from(table, settings.first)
    last = first_row_from(table, f"{settings.last}T23:59:59Z") - 1
    if settings.days is not None:
        last = min(first + settings.days - 1, len(table) - 1)
    return day_of(table, first), day_of(table, last)


def last_log_line(kube: Kube) -> str:
    """How far the replay says it is."""
    return (kube.kubectl("logs", f"job/{REPLAY}", "--tail=1").strip().splitlines() or [""])[-1][:120]


def how_it_goes(kube: Kube) -> str:
    """How far the replay is, and what it stands still for: a cycle that is under way."""
    policy = kube.get("retrainpolicy", POLICY) or {}
    cycle = f"; {words_of(policy)}" if "cycle" in policy.get("status", {}) else ""
    return last_log_line(kube) + cycle[:160]


def wait_for_replay(kube: Kube) -> None:
    """Wait for the Job's end; its own timeouts say what it waited for."""
    deadline, told = time.monotonic() + REPLAY_SECONDS, set[str]()
    while (job := kube.get("job", REPLAY)) is None or job_state(job) == "Running":
        if time.monotonic() > deadline:
            message = f"the replay took longer than {REPLAY_SECONDS} s; it said last: {last_log_line(kube)}"
            raise DemoError(message)
        tell_news(kube, told)
        time.sleep(3)
    tell_news(kube, told)
    if job_state(job) == "Failed":
        policy = kube.get("retrainpolicy", POLICY) or {}
        message = f"the replay failed: {last_log_line(kube)}; the policy says: {words_of(policy)}"
        raise DemoError(message)


def tell_news(kube: Kube, told: set[str]) -> None:
    """Print what the policy told as events, each once; ``told`` has those that were."""
    selector = "--field-selector=involvedObject.kind=RetrainPolicy"
    for event in events(json.loads(kube.kubectl("get", "events", selector, "-o", "json"))["items"]):
        line = f"  {event['reason']}: {event['note']}"
        if line not in told:
            told.add(line)
            say(line)


def say_goodbye(run: Run) -> None:
    """How to look around, and how to take it down."""
    assert run.cluster is not None
    kubectl = f"KUBECONFIG={run.cluster.kubeconfig} {binaries.program('kubectl')}"
    say(f"look around: {kubectl} -n {run.settings.namespace} get mt,md,rp")
    usual = run.settings.cluster == Settings().cluster
    say("take it down: make down" + ("" if usual else f" NAME={run.settings.cluster}"))


STAGES = (provide_cluster, provide_images, install_chart, prepare_data, live, collect)
