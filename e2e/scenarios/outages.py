"""What everybody relies on, taken away for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from e2e.scenarios.system import MLFLOW, MODEL_CACHE, System


@contextmanager
def mlflow_down(system: System) -> Iterator[None]:
    system.own.kubectl("scale", "deployment", MLFLOW, "--replicas=0")
    system.own.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=mlflow", "--timeout=600s")
    try:
        yield
    finally:
        system.own.kubectl("scale", "deployment", MLFLOW, "--replicas=1")
        system.own.kubectl("rollout", "status", "deployment", MLFLOW, "--timeout=600s")


def empty_caches(system: System) -> None:
    """New pods in the place of the nodes' caches: without files, as on a node that is new."""
    system.own.kubectl("rollout", "restart", "daemonset", MODEL_CACHE)
    system.own.kubectl("rollout", "status", "daemonset", MODEL_CACHE, "--timeout=600s")
