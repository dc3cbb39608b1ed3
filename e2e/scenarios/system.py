"""A cluster with modelcycle on it, as the scenarios see it."""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from e2e.cluster import Cluster
from e2e.demo.kube import Kube
from e2e.images import Image
from e2e.install import RELEASE, SYSTEM

Json = dict[str, Any]
ValueT = TypeVar("ValueT")
MLFLOW = f"{RELEASE}-mlflow"
MODEL_CACHE = f"{RELEASE}-model-cache"
_RENEWAL = f"update leases/{SYSTEM}"
_OURS = "modelcycle.dev/scenario"
OPERATOR_ACCOUNT = f"system:serviceaccount:{SYSTEM}:{RELEASE}"


@dataclass(frozen=True, slots=True)
class System:
    """Everything that is there before a scenario begins."""

    cluster: Cluster
    images: Mapping[str, Image]

    def namespace(self, name: str) -> Kube:
        """A namespace of a scenario's own, made if need be."""
        kube = Kube(self.cluster, name)
        metadata = {"name": name, "labels": {_OURS: "true"}}
        kube.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}])
        return kube

    def clear(self) -> None:
        """Remove what scenarios of an earlier session left on a cluster that was kept: namespaces, and their models."""
        names = self.cluster.kubectl("get", "namespace", "-l", _OURS, "-o", "name").split()
        if not names:
            return
        with self.mlflow() as mlflow:
            mlflow.delete_models(tuple(f"{name.removeprefix('namespace/')}." for name in names))
        self.cluster.kubectl("delete", *names, "--wait=true", "--timeout=900s")

    @property
    def own(self) -> Kube:
        """The namespace that modelcycle itself runs in."""
        return Kube(self.cluster, SYSTEM)

    def image(self, name: str) -> str:
        return self.images[name].reference

    @contextmanager
    def mlflow(self) -> Iterator[Mlflow]:
        with self.own.forward(MLFLOW, 5000) as url:
            yield Mlflow(url)

    def counted(self, selector: str) -> float:
        """Sum of a counter over all pods, as Prometheus has it; 0 where it has none."""
        with self.own.forward(f"{RELEASE}-prometheus", 9090) as url:
            query = urllib.parse.urlencode({"query": f"sum({selector})"})
            result = request(url, "GET", f"/api/v1/query?{query}")["data"]["result"]
        return float(result[0]["value"][1]) if result else 0.0

    def operator_pod(self) -> str:
        """Name of the operator's one pod; one that was deleted is replaced a moment later."""

        def one() -> str | None:
            names = [str(pod["metadata"]["name"]) for pod in operator_pods(self)]
            return names[0] if len(names) == 1 else None

        return eventually("one operator pod", one, 300)

    def passes(self) -> Counter[str]:
        """How often the operator looked at a resource, by kind, as it counts itself."""
        pod = f"/api/v1/namespaces/{SYSTEM}/pods/{self.operator_pod()}:8080/proxy/metrics"
        text = self.cluster.kubectl("get", "--raw", pod)
        found = re.findall(r'^controller_runtime_reconcile_total\{controller="(\w+)".*\} (\S+)$', text, re.MULTILINE)
        passes = Counter[str]()
        for kind, count in found:
            passes[kind] += int(float(count))
        return passes

    def writes(self, since: float) -> list[str]:
        """What the operator wrote since then (Unix seconds), but its Lease: verb, resource and name of each."""
        return [told for told in self._written(since) if not told.startswith(_RENEWAL)]

    def renewals(self, since: float) -> int:
        """How often it renewed its Lease since then."""
        return sum(told.startswith(_RENEWAL) for told in self._written(since))

    def _written(self, since: float) -> list[str]:
        return [_told(event) for event in self.cluster.audited() if _is_write(event) and _when(event) >= since]


@dataclass(frozen=True, slots=True)
class Mlflow:
    """MLflow's REST API: what people do there, and what has to be true there."""

    url: str

    def get(self, path: str, **parameters: str) -> Json:
        return self._ask(f"{path}?{urllib.parse.urlencode(parameters)}", "GET", None)

    def post(self, path: str, **body: object) -> Json:
        return self._ask(path, "POST", body)

    def run(self, run_id: str) -> Json:
        found: Json = self.get("runs/get", run_id=run_id)["run"]
        return found

    def runs(self, query: str = "") -> list[Json]:
        """All runs, of whatever experiment, that the filter selects."""
        experiments = self.get("experiments/search", max_results="1000").get("experiments", [])
        ids = [one["experiment_id"] for one in experiments]
        found: list[Json] = self.post("runs/search", experiment_ids=ids, filter=query, max_results=1000).get("runs", [])
        return found

    def versions(self, model: str) -> list[Json]:
        """Versions of a registered model, the oldest first."""
        found = self.get("model-versions/search", filter=f"name='{model}'", max_results="1000")
        return sorted(found.get("model_versions", []), key=lambda one: int(one["version"]))

    def aliases(self, model: str) -> dict[str, str]:
        found = self.get("registered-models/get", name=model)["registered_model"].get("aliases", [])
        return {one["alias"]: str(one["version"]) for one in found}

    def rollouts(self, model: str) -> dict[str, Json]:
        """The verdicts of rollouts that are on versions, by version."""
        found = {one["version"]: tags(one).get("modelcycle.dev/rollout") for one in self.versions(model)}
        return {version: json.loads(text) for version, text in found.items() if text}

    def set_alias(self, model: str, alias: str, version: str) -> None:
        self.post("registered-models/alias", name=model, alias=alias, version=version)

    def delete_models(self, prefixes: tuple[str, ...]) -> None:
        """Delete the registered models whose names begin so."""
        for model in self.get("registered-models/search", max_results="1000").get("registered_models", []):
            if model["name"].startswith(prefixes):
                self._ask("registered-models/delete", "DELETE", {"name": model["name"]})

    def _ask(self, path: str, method: str, body: Mapping[str, object] | None) -> Json:
        return request(self.url, method, f"/api/2.0/mlflow/{path}", body)


def request(url: str, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
    """The JSON that a server answers with; AssertionError with what else it says."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read().decode(errors="replace")
    finally:
        connection.close()
    assert response.status == http.HTTPStatus.OK, f"{method} {path}: {response.status}: {content[:500]}"
    answer: Json = json.loads(content)
    return answer


def tags(thing: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a model version, or of a run's data."""
    return {one["key"]: one["value"] for one in thing.get("tags", [])}


def eventually(what: str, look: Callable[[], ValueT | None], seconds: float, *, every: float = 1.0) -> ValueT:
    """What ``look`` gives as soon as that is true in itself; AssertionError with what it gave last."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s; seen last: {seen!r}"
        time.sleep(every)


def until_equal(what: str, look: Callable[[], object], wanted: object, seconds: float, *, every: float = 1.0) -> None:
    """Wait until ``look`` gives just what is wanted: all of it at once, since parts of it come one after the other."""
    deadline = time.monotonic() + seconds
    while (seen := look()) != wanted:
        late = f"{what}: not within {seconds:.0f} s; wanted: {wanted!r}; seen last: {seen!r}"
        assert time.monotonic() < deadline, late
        time.sleep(every)


def events_of(kube: Kube, name: str) -> list[Json]:
    """Events about the resource of that name, the oldest first."""
    found = [event for event in kube.items("events.events.k8s.io") if event["regarding"]["name"] == name]
    return sorted(found, key=lambda event: event["metadata"]["creationTimestamp"])


def reasons_of(kube: Kube, name: str) -> list[str]:
    return [event["reason"] for event in events_of(kube, name)]


def operator_pods(system: System) -> list[Json]:
    """Its pods that are not on their way out."""
    selector = "app.kubernetes.io/component=operator"
    found = json.loads(system.own.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def is_pod_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


# --- the audit log ---------------------------------------------------------------------------------------------------
def _is_write(event: Mapping[str, Any]) -> bool:
    # A request that was not authenticated has no user name.
    return bool(event["user"].get("username") == OPERATOR_ACCOUNT and event["verb"] not in ("get", "list", "watch"))


def _when(event: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()


def _told(event: Mapping[str, Any]) -> str:
    about = event.get("objectRef", {})
    names = (about.get("resource"), about.get("subresource"), about.get("namespace"), about.get("name"))
    return f"{event['verb']} {'/'.join(name for name in names if name)}"
