"""The demo in short: 90 days of the spring of 2010, which need one retraining."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from e2e.demo import stages
from e2e.demo.kube import Kube
from e2e.demo.looks import Line, read_tables
from e2e.demo.results import Json, Results
from e2e.demo.settings import DEPLOYMENT, FIRST_TRAINING, POLICY, Settings
from e2e.demo.story import tell
from e2e.scenarios.system import System, eventually

FIRST_DAY = "2010-04-01"
DAYS = 90


@dataclass(frozen=True, slots=True)
class Loop:
    """What there is after the last day: the resources at rest, the demo's results, and what ``kubectl get`` said."""

    kube: Kube
    first_training: Json
    deployment: Json
    policy: Json
    results: Results
    looks: dict[str, list[Line]]


def play(system: System) -> Loop:
    """Play all of it, from the data to the results."""
    # Prometheus of a cluster that was kept remembers the counters of an earlier session.
    namespace = f"short-loop-{secrets.token_hex(3)}"
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            cluster=system.cluster.name, namespace=namespace, first=FIRST_DAY, days=DAYS, out=Path(folder)
        )
        run = stages.Run(settings, cluster=system.cluster, images=dict(system.images))
        stages.prepare_data(run)
        system.namespace(namespace)  # the sample's own manifest says nothing of our label
        stages.live(run)
        kube = run.kube
        eventually("the policy at rest", lambda: "cycle" not in status(kube, "retrainpolicy", POLICY), 600)
        stages.collect(run)
        results = tell(settings.gathered)
        looks = read_tables((settings.gathered / stages.LOOKS).read_text())
    return Loop(
        kube,
        kube.get("modeltraining", FIRST_TRAINING) or {},
        kube.get("modeldeployment", DEPLOYMENT) or {},
        kube.get("retrainpolicy", POLICY) or {},
        results,
        looks,
    )


def status(kube: Kube, kind: str, name: str) -> Json:
    found: Json = (kube.get(kind, name) or {}).get("status", {})
    return found
