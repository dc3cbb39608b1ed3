"""A stand-in for MLflow that answers at once, so that what is measured is the operator's own speed.

It speaks as much of MLflow's REST API as the operator uses, in memory. Each run has one logged model with two files,
and has ended by the time that somebody asks for it, as after a pod. Run as a program it serves on a port of the
loopback; ``GET /calls`` tells how often each path was called.
"""

from __future__ import annotations

import argparse
import itertools
import re
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import orjson
import uvloop
from aiohttp import web

Answer = tuple[int, Mapping[str, Any]]
_API = "/api/2.0/mlflow/"
_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_EQUALS = re.compile(r"(?:tags\.`([^`]+)`|([\w.]+)) = '([^']*)'")
_NAMES = re.compile(r"'([^']*)'")
_ABOVE = re.compile(r"version_number > (\d+)")
PAGE = 50
MLMODEL = b"""flavors:
  onnx:
    data: model.onnx
    onnx_version: 1.19.0
model_id: m-1
run_id: r-1
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}, "name": "x"}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 1]}, "name": "y"}]'
"""
FILES = {"MLmodel": MLMODEL, "model.onnx": b"onnx" * 64}


class Registry:
    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._experiments: dict[str, str] = {}
        self._runs: dict[str, dict[str, Any]] = {}
        self._of_uid: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._models: dict[str, dict[str, Any]] = {}
        self._versions: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._tagged: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path
        if path.startswith(_ARTIFACTS):
            return self._artifact(request)
        if not path.startswith(_API):
            return web.json_response(dict(self.calls)) if path == "/calls" else web.Response(text="OK")
        path = path.removeprefix(_API)
        self.calls[f"{request.method} {path}"] += 1
        content = await request.read()
        body = orjson.loads(content) if content else dict(request.query)
        handler = getattr(self, f"{request.method.lower()}_{re.sub('[^a-z]', '_', path)}")
        status, answer = handler(body)
        return web.Response(status=status, body=orjson.dumps(answer), content_type="application/json")

    def _artifact(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix(_ARTIFACTS).strip("/")
        self.calls["GET artifacts" + ("/file" if path else "")] += 1
        if path:
            return web.Response(body=FILES[path.rpartition("/")[2]], content_type="application/octet-stream")
        listed = "/models/" in request.query["path"]
        files = [{"path": name, "is_dir": False, "file_size": len(body)} for name, body in FILES.items()]
        return web.json_response({"files": files if listed else []})

    # --- runs --------------------------------------------------------------------------------------------------------
    def get_experiments_get_by_name(self, body: Mapping[str, Any]) -> Answer:
        name = body["experiment_name"]
        if name not in self._experiments:
            return _missing()
        return 200, {"experiment": {"experiment_id": self._experiments[name], "lifecycle_stage": "active"}}

    def post_experiments_create(self, body: Mapping[str, Any]) -> Answer:
        return 200, {"experiment_id": self._experiments.setdefault(body["name"], str(len(self._experiments) + 1))}

    def post_experiments_search(self, body: Mapping[str, Any]) -> Answer:
        return 200, {"experiments": []}

    def post_runs_create(self, body: Mapping[str, Any]) -> Answer:
        run_id, experiment = f"{next(self._numbers):032x}", body["experiment_id"]
        info = {
            "run_id": run_id,
            "experiment_id": experiment,
            "artifact_uri": f"mlflow-artifacts:/{experiment}/{run_id}/artifacts",
            "start_time": body.get("start_time", 0),
            "lifecycle_stage": "active",
            "status": "RUNNING",
        }
        self._runs[run_id] = {"info": info, "data": {"tags": body.get("tags", [])}}
        for tag in body.get("tags", []):
            self._of_uid[tag["key"], tag["value"]].append(run_id)
        return 200, {"run": self._runs[run_id]}

    def get_runs_get(self, body: Mapping[str, Any]) -> Answer:
        return 200, {"run": self._runs[body["run_id"]]}

    def post_runs_search(self, body: Mapping[str, Any]) -> Answer:
        wanted = body.get("filter", "")
        if " IN " in wanted:
            found = _NAMES.findall(wanted)
        elif " LIKE " in wanted:
            found = [one for one, run in self._runs.items() if run["info"]["experiment_id"] in body["experiment_ids"]]
        else:
            (tag, _, value), *_ = _EQUALS.findall(wanted) or [("", "", "")]
            found = self._of_uid.get((tag, value), [])
        return 200, {"runs": [self._runs[run_id] for run_id in found[-500:]]}

    def post_runs_log_batch(self, body: Mapping[str, Any]) -> Answer:
        self._runs[body["run_id"]]["data"]["tags"] += body.get("tags", [])
        return 200, {}

    def post_runs_update(self, body: Mapping[str, Any]) -> Answer:
        info = self._runs[body["run_id"]]["info"]
        info["status"] = body.get("status", info["status"])
        return 200, {"run_info": info}

    def post_logged_models_search(self, body: Mapping[str, Any]) -> Answer:
        return 200, {"models": [{"info": self._logged(run_id)} for run_id in _NAMES.findall(body["filter"])]}

    def _logged(self, run_id: str) -> dict[str, Any]:
        run, model_id = self._runs[run_id]["info"], f"m-{run_id}"
        run["status"] = "FINISHED"
        return {
            "model_id": model_id,
            "name": "model",
            "source_run_id": run_id,
            "artifact_uri": f"mlflow-artifacts:/{run['experiment_id']}/models/{model_id}/artifacts",
            "status": "LOGGED_MODEL_READY",
            "creation_timestamp_ms": int(time.time() * 1000),
        }

    # --- models ------------------------------------------------------------------------------------------------------
    def post_registered_models_create(self, body: Mapping[str, Any]) -> Answer:
        name = body["name"]
        if name in self._models:
            return 400, {"error_code": "RESOURCE_ALREADY_EXISTS", "message": name}
        self._models[name] = {"name": name, "tags": list(body.get("tags", [])), "aliases": []}
        return 200, {"registered_model": self._models[name]}

    def get_registered_models_get(self, body: Mapping[str, Any]) -> Answer:
        model = self._models.get(body["name"])
        return (200, {"registered_model": model}) if model else _missing()

    def get_registered_models_search(self, body: Mapping[str, Any]) -> Answer:
        names = _NAMES.findall(body.get("filter", ""))
        return 200, {"registered_models": [self._models[name] for name in names if name in self._models]}

    def post_registered_models_set_tag(self, body: Mapping[str, Any]) -> Answer:
        tags = self._models[body["name"]]["tags"]
        tags[:] = [tag for tag in tags if tag["key"] != body["key"]] + [{"key": body["key"], "value": body["value"]}]
        return 200, {}

    def post_registered_models_alias(self, body: Mapping[str, Any]) -> Answer:
        self.delete_registered_models_alias(body)
        self._models[body["name"]]["aliases"].append({"alias": body["alias"], "version": body["version"]})
        return 200, {}

    def delete_registered_models_alias(self, body: Mapping[str, Any]) -> Answer:
        aliases = self._models[body["name"]]["aliases"]
        aliases[:] = [one for one in aliases if one["alias"] != body["alias"]]
        return 200, {}

    def post_model_versions_create(self, body: Mapping[str, Any]) -> Answer:
        name = body["name"]
        if name not in self._models:
            return _missing()
        number = str(len(self._versions[name]) + 1)
        version = {"name": name, "version": number, "source": body["source"], "run_id": body.get("run_id", "")}
        made = version | {"tags": list(body.get("tags", []))}
        self._versions[name].append(made)
        self._tagged[name, "run_id", version["run_id"]].append(made)
        for tag in made["tags"]:
            self._tagged[name, tag["key"], tag["value"]].append(made)
        return 200, {"model_version": made}

    def get_model_versions_get_download_uri(self, body: Mapping[str, Any]) -> Answer:
        return 200, {"artifact_uri": f"mlflow-artifacts:/1/models/{body['name']}-{body['version']}/artifacts"}

    def get_model_versions_get(self, body: Mapping[str, Any]) -> Answer:
        versions = self._versions.get(body["name"], [])
        number = int(body["version"])
        return (200, {"model_version": versions[number - 1]}) if number <= len(versions) else _missing()

    def get_model_versions_search(self, body: Mapping[str, Any]) -> Answer:
        wanted = {tag or field: value for tag, field, value in _EQUALS.findall(body["filter"])}
        name = wanted.pop("name")
        found = [self._tagged.get((name, field, value), []) for field, value in wanted.items()]
        above = int(found_above.group(1)) if (found_above := _ABOVE.search(body["filter"])) else 0
        return 200, {"model_versions": (found[0] if found else self._versions.get(name, [])[above:])[:PAGE]}

    def post_model_versions_set_tag(self, body: Mapping[str, Any]) -> Answer:
        version = self._versions[body["name"]][int(body["version"]) - 1]
        tag = {"key": body["key"], "value": body["value"]}
        version["tags"] = [one for one in version["tags"] if one["key"] != tag["key"]] + [tag]
        return 200, {}


def _missing() -> Answer:
    return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    uvloop.install()
    app = web.Application(client_max_size=1 << 24)
    app.router.add_route("*", "/{path:.*}", Registry().handle)
    web.run_app(app, host="127.0.0.1", port=parser.parse_args().port, print=None, access_log=None)


if __name__ == "__main__":
    main()
