"""What happened, read from the cluster, Prometheus and MLflow into files."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e2e.demo.kube import POLL_SECONDS, DemoError, Json, Kube
from e2e.demo.looks import KINDS
from e2e.demo.settings import DEPLOYMENT, POLICY, REPLAY, Settings
from e2e.install import RELEASE, SYSTEM

RECORD = "record "
SCRAPED_SECONDS = 60.0
COUNTERS = {"requests": "modelcycle_requests_total", "labels": "modelcycle_feedback_rows_total"}


def gather(kube: Kube, settings: Settings) -> None:
    """Write everything below ``settings.gathered``."""
    folder = settings.gathered
    folder.mkdir(parents=True, exist_ok=True)
    records = replayed(kube)
    _write(folder / "records.json", records)
    for kind in ("modeltraining", "modeldeployment", "retrainpolicy", "event"):
        _write(folder / f"{kind}s.json", kube.items(kind))
    (folder / "get.txt").write_text(kube.kubectl("get", KINDS))
    (folder / "describe-policy.txt").write_text(kube.kubectl("describe", "retrainpolicy", POLICY))
    (folder / "describe-deployment.txt").write_text(kube.kubectl("describe", "modeldeployment", DEPLOYMENT))
    system = Kube(kube.cluster, SYSTEM)
    with system.forward(f"{RELEASE}-prometheus", 9090) as url:
        _write(folder / "counts.json", settled(lambda: counts(url, settings), len(records)))
    with system.forward(f"{RELEASE}-mlflow", 5000) as url:
        registry = Registry(url)
        versions = registry.versions(settings.model)
        _write(folder / "versions.json", versions)
        _write(folder / "runs.json", registry.runs(versions))
        (folder / "first.onnx").write_bytes(registry.model_file(first_version(versions)))


def replayed(kube: Kube) -> list[Json]:
    """The journal, as the pod that came to the end printed it."""
    pods = kube.kubectl(
        "get", "pods", "-l", f"job-name={REPLAY}", "--field-selector=status.phase=Succeeded", "-o", "name"
    ).split()
    if not pods:
        message = "no pod of the replay came to its end: run the stage replay first"
        raise DemoError(message)
    lines = kube.kubectl("logs", pods[-1]).splitlines()
    return [json.loads(line.removeprefix(RECORD)) for line in lines if line.startswith(RECORD)]


def counts(url: str, settings: Settings) -> dict[str, int]:
    return {name: counted(url, metric, settings) for name, metric in COUNTERS.items()}


def settled(look: Callable[[], dict[str, int]], days: int) -> dict[str, int]:
    """The counts once each has all days: of the last ones Prometheus learns with its next scrapes. Else the latest."""
    deadline = time.monotonic() + SCRAPED_SECONDS
    while min((found := look()).values()) < days and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found


def counted(url: str, metric: str, settings: Settings) -> int:
    """Sum of a counter over all serving pods that there ever were: of each the most that it had."""
    selector = f'{metric}{{namespace="{settings.namespace}",deployment="{DEPLOYMENT}"}}'
    query = urllib.parse.urlencode({"query": f"sum(max_over_time({selector}[1d]))"})
    result = _json(f"{url}/api/v1/query?{query}")["data"]["result"]
    return round(float(result[0]["value"][1])) if result else 0


class Registry:
    """MLflow's REST API, as far as the report needs it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def versions(self, model: str) -> list[Json]:
        query = urllib.parse.urlencode({"filter": f"name='{model}'", "max_results": 1000})
        found = _json(f"{self._url}/api/2.0/mlflow/model-versions/search?{query}").get("model_versions", [])
        return sorted(found, key=lambda version: int(version["version"]))

    def runs(self, versions: list[Json]) -> list[Json]:
        """Info and tags of each version's run."""
        names = [version["run_id"] for version in versions if version.get("run_id")]
        return [_json(f"{self._url}/api/2.0/mlflow/runs/get?run_id={name}")["run"] for name in names]

    def model_file(self, version: Json) -> bytes:
        """The version's ONNX file, from where the operator found it at registration."""
        root = tag(version, "modelcycle.dev/model-root")
        path = root.removeprefix("mlflow-artifacts:/").strip("/")
        return _read(f"{self._url}/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(path)}/model.onnx")


def first_version(versions: list[Json]) -> Json:
    """The version that was trained before the replay."""
    if not versions:
        message = "MLflow knows no version of the model: run the stage train first"
        raise DemoError(message)
    return versions[0]


def tag(version: Json, name: str) -> str:
    """A tag of a model version; raises DemoError where there is none."""
    for one in version.get("tags", []):
        if one["key"] == name:
            return str(one["value"])
    message = f"version {version['version']} has no tag {name}"
    raise DemoError(message)


def _json(url: str) -> Json:
    found: Json = json.loads(_read(url))
    return found


def _read(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as response:  # noqa: S310  (a port-forward of ours)
            content: bytes = response.read()
            return content
    except OSError as error:
        message = f"{url} can't be read: {error}"
        raise DemoError(message) from error


def _write(path: Path, content: Any) -> None:  # noqa: ANN401
    path.write_text(json.dumps(content, indent=1) + "\n")
