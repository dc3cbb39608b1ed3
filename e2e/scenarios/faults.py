"""Faults of pods' own making: what is wrong, and what has to be said about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from e2e.demo.kube import condition
from e2e.scenarios.manifests import code, training
from e2e.scenarios.system import Json, System, eventually

NOWHERE = "localhost/modelcycle/nowhere:1"
_END_SECONDS = 1200


@dataclass(frozen=True, slots=True)
class Fault:
    """A training that can't succeed. ``words``: what its message has to contain."""

    name: str
    script: str
    reason: str
    words: tuple[str, ...]
    spec: tuple[tuple[str, Any], ...] = ()

    @property
    def namespace(self) -> str:
        return f"fault-{self.name}"


FAULTS = (
    Fault(
        "no-such-image",
        "line.py",
        "ImageUnavailable",
        (NOWHERE, "pendingDeadlineSeconds"),
        (("image", NOWHERE), ("pendingDeadlineSeconds", 45)),
    ),
    Fault("raises", "raises.py", "UserError", ("raises.py", "in columns_of", "KeyError: 'price'")),
    Fault("raises-plain", "raises_plain.py", "UserError", ("ValueError: the learning rate must not be negative",)),
    Fault("nan-loss", "diverges.py", "NonFiniteLoss", ("loss is nan at step 1 of 10",)),
    Fault(
        "out-of-memory",
        "hungry.py",
        "OutOfMemory",
        ("resources.memory",),
        (("resources", {"cpu": "50m", "memory": "64Mi"}),),
    ),
    Fault(
        "export-differs",
        "export_differs.py",
        "UserError",
        ("ONNX export differs", "the model says"),
        (("resources", {"cpu": "50m", "memory": "1Gi"}),),
    ),
    Fault("no-model", "logs_nothing.py", "NoModelLogged", ("mlflow.onnx.log_model",)),
    Fault("pickle", "logs_pickle.py", "UnsupportedFlavor", ("python_function", "only ONNX is served")),
)


@dataclass(frozen=True, slots=True)
class Failing:
    """The trainings as they were at their end, by fault; ``pods`` are theirs."""

    trainings: dict[str, Json]
    pods: dict[str, list[Json]]


def play(system: System) -> Failing:
    """Start all of them together, and wait until the last one has ended."""
    for fault in FAULTS:
        kube = system.namespace(fault.namespace)
        kube.apply([
            code(fault.namespace),
            training(system, fault.namespace, fault.name, fault.script, **dict(fault.spec)),
        ])  # fmt: skip
    trainings = {fault.name: _ended(system, fault) for fault in FAULTS}
    pods = {fault.name: system.namespace(fault.namespace).items("pods") for fault in FAULTS}
    return Failing(trainings, pods)


def _ended(system: System, fault: Fault) -> Json:
    kube = system.namespace(fault.namespace)

    def look() -> Json | None:
        found = kube.get("modeltraining", fault.name)
        return found if found and condition(found, "Succeeded")["status"] != "Unknown" else None

    return eventually(f"the end of {fault.name}", look, _END_SECONDS, every=2)
