"""``python -m modelcycle``: run the operator, or print its CRDs."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Mapping, Sequence

import uvloop
from pydantic import ValidationError

from modelcycle import app
from modelcycle.errors import ModelcycleError
from modelcycle.runtime.logs import LogFormat, set_up
from modelcycle.settings import RunOptions

LOG = logging.getLogger(__name__)
# Flag, field of RunOptions, and what it is. The environment variable is MODELCYCLE_<FIELD>.
_FLAGS = (
    ("--kubeconfig", "kubeconfig", "file to reach the API server by; default: the pod's service account"),
    ("--namespaces", "namespaces", "serve these namespaces only, separated by commas; default: all"),
    ("--endpoints", "endpoints_file", "YAML file that defines the MLflow and Prometheus endpoints"),
    ("--serving-image", "serving_image", "image of the pods that serve, fetch and evaluate models"),
    ("--cluster-id", "cluster_id", "name of this cluster in tags; default: the uid of the namespace kube-system"),
    ("--lease-namespace", "lease_namespace", "namespace of the Lease that elects the leader"),
    ("--lease-name", "lease_name", "name of that Lease"),
    ("--port", "port", "port of /livez, /readyz and /metrics"),
    ("--qps", "requests_per_second", "requests to the API server a second, in the long run"),
    ("--burst", "burst", "requests to the API server at once"),
    ("--workers", "workers", "resources of each kind that are worked on at the same time"),
    ("--relist-seconds", "relist_seconds", "how often all is listed again, to repair what a watch missed"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    parsed = _parser().parse_args(arguments)
    if parsed.command == "crds":
        # Imported here only: nobody else pays for it.
        crds: dict[str, str] = importlib.import_module("modelcycle.api.schema.crd").render()
        sys.stdout.write("---\n".join(crds.values()))
        return 0
    set_up(LogFormat(parsed.log_format), logging.getLevelName(parsed.log_level))
    try:
        options = run_options(vars(parsed), os.environ)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(app.run(options))
    except (ModelcycleError, ValidationError, OSError) as error:
        LOG.error("the operator can't run: %s", error)
        return 1
    return 0


def run_options(flags: Mapping[str, object], environment: Mapping[str, str]) -> RunOptions:
    """Options from flags, or else from the environment. Raises ``ValidationError``, which names the field."""
    given = {field: flags.get(field) or environment.get(_variable(field)) for _, field, _ in _FLAGS}
    values: dict[str, object] = {field: value for field, value in given.items() if value is not None}
    if isinstance(values.get("namespaces"), str):
        values["namespaces"] = tuple(name.strip() for name in str(values["namespaces"]).split(",") if name.strip())
    return RunOptions.model_validate(values)


def _variable(field: str) -> str:
    return f"MODELCYCLE_{field.upper()}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="modelcycle", description="Operator for the life cycle of models.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("crds", help="print the CustomResourceDefinitions")
    run = commands.add_parser("run", help="run the operator")
    for flag, field, text in _FLAGS:
        run.add_argument(flag, dest=field, help=f"{text} ({_variable(field)})")
    run.add_argument("--log-format", choices=[one.value for one in LogFormat], default=LogFormat.JSON.value)
    run.add_argument("--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"], default="INFO")
    return parser
