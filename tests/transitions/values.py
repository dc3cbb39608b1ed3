"""The generator: for each leaf of a spec other values, its removal, and values that are broken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from modelcycle.api.schema.kinds import KINDS
from tests.transitions.bases import BASES
from tests.transitions.leaves import (
    Place,
    Schema,
    Spec,
    contents,
    grafted,
    item_of,
    leaf_of,
    leaves,
    places,
    removed,
    replaced,
    schema_at,
    schema_of,
)

MODELS = {kind.name: kind.spec for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Transition:
    """``told``: what happens to the leaf. ``spec``: all of it afterwards."""

    leaf: str
    told: str
    spec: Spec

    def __str__(self) -> str:
        return f"{self.leaf}: {self.told}"


@dataclass(frozen=True, slots=True)
class Break:
    """A value that the API server has to refuse with a message that names ``place``."""

    place: Place
    told: str
    spec: Spec


# What the schema can't tell: other values that something is there for, and those that make a difference somewhere.
OTHERS: dict[str, dict[str, list[Any]]] = {
    "ModelTraining": {
        "image": ["train:2"],
        "configMap": ["code2"],
        "env[].configMapKeyRef.name": ["site2"],
        "env[].configMapKeyRef.key": ["zone"],
        "mlflow": ["default", "other"],
        "register.model": ["quant.other"],
        "asOf": ["2007-12-31T21:00:00Z"],
        "deadlineSeconds": [50_000, 1_200],
        "pendingDeadlineSeconds": [3_700],
        "ttlSecondsAfterFinished": [0, 4_000],
        "resources.cpuLimit": ["3"],
    },
    "ModelDeployment": {
        "model.name": ["quant.other"],
        "model.aliases.champion": ["first"],
        "model.aliases.challenger": ["second"],
        "model.version": ["1", "3"],
        "replicas": [1, 3],
        "autoscaling.maxReplicas": [1, 5],
        "autoscaling.inFlight": ["0.5", "3"],
        "mlflow": ["default", "other"],
        "prometheus": ["default", "other"],
        "image": ["serve:3"],
        "env[].configMapKeyRef.name": ["site2"],
        "env[].configMapKeyRef.key": ["zone"],
        "resources.cpu": ["3", "700m"],
        "resources.cpuLimit": ["3"],
        "rollout.steps[].smoke.maxWait": ["5m", "2h"],
        "rollout.steps[].replicas.percent": [50, 100],
        "rollout.steps[].replicas.minRequests": [10, 1_000],
        "rollout.steps[].replicas.minLabels": [20],
        "rollout.steps[].replicas.maxWait": ["5m", "9h"],
        "rollout.limits.maxErrorRate": ["0", "0.2"],
        "rollout.limits.latencyPercentile": [50, 99],
        "rollout.limits.maxLatencyIncreasePercent": [0, 5_000],
        "rollout.limits.latencyFloorMilliseconds": [0, 500],
        "rollout.limits.lossVetoLabels": [2, 300],
        "rollout.limits.lossVetoAlpha": ["0.9", "0.0000001"],
    },
    "RetrainPolicy": {
        "deployment.name": ["second"],
        "triggers[].loss.window.rows": [30, 200],
        "triggers[].loss.window.time": ["7m", "9d"],
        "triggers[].loss.reference": ["Version", "Best"],
        "triggers[].loss.factorPercent": [90, 900],
        "triggers[].loss.bound": ["0.5", "8.5"],
        "triggers[].loss.minRows": [10, 500],
        "triggers[].drift.window.rows": [120, 900],
        "triggers[].drift.window.time": ["12m", "9d"],
        "triggers[].drift.threshold": ["0.01", "9"],
        "triggers[].drift.alpha": ["0.9", "0.000001"],
        "triggers[].drift.minRows": [20, 5_000],
        "triggers[].schedule.cron": ["*/5 * * * *", "0 9 1 * *"],
        "triggers[].schedule.timeZone": ["Asia/Tokyo"],
        "triggers[].age.maxAge": ["15m", "30d"],
        "triggers[].persistence.rows": [20, 5_000],
        "triggers[].persistence.time": ["5m", "20d"],
        "cooldown.rows": [1_000],
        "cooldown.time": ["2d", "5m"],
        "minNewRows": [0, 5_000],
        "budget.trainings": [1],
        "budget.per": ["5m", "30d"],
        "asOf.lag": ["2d"],
        "gate.data.source": ["rates"],
        "gate.holdout.rows": [2_000],
        "gate.minRows": [20_000],
        "gate.deadlineSeconds": [1_500],
        "historyLimit": [1, 5],
        "prometheus": ["default", "other"],
        "template.image": ["train:2"],
        "template.configMap": ["code2"],
        "template.env[].configMapKeyRef.name": ["site2"],
        "template.env[].configMapKeyRef.key": ["zone"],
        "template.mlflow": ["default", "other"],
        "template.deadlineSeconds": [50_000],
        "template.resources.cpuLimit": ["3"],
    },
}


def transitions(kind: str, spec: Spec) -> Iterator[Transition]:
    """Each leaf of ``spec`` changed and removed, and each that it lacks added; all of them fit the schema."""
    for leaf, schema in leaves(kind).items():
        present = places(spec, leaf)
        found = [one for place in present for one in _at(kind, spec, place, schema)] or list(_added(kind, spec, leaf))
        seen: list[Spec] = [spec]
        for one in found:
            if one.spec not in seen and fits(kind, one.spec):
                seen.append(one.spec)
                yield one


def _at(kind: str, spec: Spec, place: Place, schema: Schema) -> Iterator[Transition]:
    leaf = leaf_of(place)
    (before,) = (value for found, value in contents(spec) if found == place)
    for value in others(kind, leaf, schema, before):
        yield Transition(leaf, f"{before!r} becomes {value!r}", replaced(spec, place, value))
    yield Transition(leaf, f"{before!r} is removed", removed(spec, place))
    for parent in range(len(place) - 1, 0, -1):
        if fits(kind, removed(spec, place[:parent])):
            what = place[parent - 1]
            yield Transition(leaf, f"{what!r} around it is removed", removed(spec, place[:parent]))
            break


def _added(kind: str, spec: Spec, leaf: str) -> Iterator[Transition]:
    for donor in BASES[kind].values():
        for place in places(donor, leaf)[:1]:
            yield Transition(leaf, "is added", grafted(kind, spec, donor, place))


def others(kind: str, leaf: str, schema: Schema, before: Any) -> list[Any]:
    """Other valid values: those that are known to matter, else one that the schema allows."""
    known = OTHERS[kind].get(leaf)
    if known is not None:
        return [value for value in known if value != before]
    if "enum" in schema:
        return [value for value in schema["enum"] if value != before]
    if schema["type"] == "boolean":
        return [not before]
    if schema["type"] == "integer":
        return [before + 1 if before < schema["maximum"] else before - 1]
    return [text for text in (f"{before}2", *_TEXTS) if _is_text(text, schema) and text != before][:1]


_TEXTS = ("7m", "0.07", "0.7", "7", "3Gi")


def _is_text(text: str, schema: Schema) -> bool:
    if schema.get("format"):
        return False
    long_enough = schema.get("minLength", 0) <= len(text) <= schema["maxLength"]
    return long_enough and re.search(schema.get("pattern", ""), text) is not None


# --- what is refused -------------------------------------------------------------------------------------------------
def breaks(kind: str, spec: Spec) -> Iterator[Break]:
    """Each leaf of ``spec`` with values outside of its bounds and of other types, and without what is required."""
    for place, before in contents(spec):
        if place == ():
            continue
        for value in broken(schema_at(kind, place), before):
            yield Break(place, f"{_short(value)}", replaced(spec, place, value))
        parent, name = place[:-1], place[-1]
        if name in (schema_at(kind, parent) if parent else schema_of(kind)).get("required", ()):
            yield Break(place, "removed", removed(spec, place))
            yield Break(place, "null", replaced(spec, place, None))
        elif isinstance(name, int):
            yield Break(place, "null", replaced(spec, place, None))


def broken(schema: Schema, before: Any) -> list[Any]:
    """Values that the schema refuses by itself."""
    match schema["type"]:
        case "integer":
            return [schema["minimum"] - 1, schema["maximum"] + 1, str(before), before + 0.5, [before]]
        case "boolean":
            return [str(before).lower(), 1, {}]
    wrong: list[Any] = [7, True, {"value": before}]
    if "enum" in schema:
        return [*wrong, "NoSuchThing", str(before).lower() + "!"]
    if schema.get("format") == "date-time":
        return [*wrong, "yesterday", "2006-13-29T21:00:00Z"]
    texts = ["", "not valid \n", "\N{SNOWMAN}", "-", "x" * (schema["maxLength"] + 1)]
    return [*wrong, *(text for text in texts if not _is_text(text, schema))]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:20]}... ({len(text)} characters)"


def around(place: Place) -> Place:
    """What a message may name instead of a leaf: the item that it is in, where that can't be told from others."""
    return item_of(place) or place


# --- what fits -------------------------------------------------------------------------------------------------------
def fits(kind: str, spec: Spec) -> bool:
    """Whether the API server takes ``spec``, as far as it is told by the schema and by the rules beside it."""
    return _fits(schema_of(kind), spec) and not any(rule(spec) for rule in RULES[kind])


_ONE_OF = re.compile(r"^exactly one of (.+) must be set$")


def _fits(schema: Schema, value: Any) -> bool:
    if isinstance(value, dict):
        known = schema.get("properties", {})
        if any(name not in value for name in schema.get("required", ())) or not value.keys() <= known.keys():
            return False
        for rule in schema.get("x-kubernetes-validations", ()):
            found = _ONE_OF.match(rule["message"])
            if found and sum(name in value for name in found[1].split(", ")) != 1:
                return False
        return all(_fits(known[name], child) for name, child in value.items())
    if isinstance(value, list):
        return schema.get("minItems", 0) <= len(value) and all(_fits(schema["items"], child) for child in value)
    return True


def _resources_wrong(resources: Spec) -> bool:
    return "cpuLimit" in resources and _cpus(resources["cpuLimit"]) < _cpus(resources.get("cpu", "500m"))


def _cpus(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _no_bound(spec: Spec) -> bool:
    losses = [trigger["loss"] for trigger in spec["triggers"] if "loss" in trigger]
    return any(loss.get("reference") == "Absolute" and "bound" not in loss for loss in losses)


def _no_source(spec: Spec) -> bool:
    return spec["gate"]["data"]["source"] not in [one["name"] for one in spec["template"].get("data", ())]


def _follows_a_pin(spec: Spec) -> bool:
    return bool("version" in spec["model"] and spec["model"].get("follow"))


def _smoke_later(spec: Spec) -> bool:
    steps = spec.get("rollout", {}).get("steps", [])
    return any("smoke" in step for step in steps[1:]) and "smoke" not in steps[0]


RULES: dict[str, tuple[Any, ...]] = {
    "ModelTraining": (lambda spec: _resources_wrong(spec.get("resources", {})),),
    "ModelDeployment": (
        lambda spec: _resources_wrong(spec.get("resources", {})),
        _follows_a_pin,
        _smoke_later,
    ),
    "RetrainPolicy": (lambda spec: _resources_wrong(spec["template"].get("resources", {})), _no_bound, _no_source),
}
"""Rules in CEL that the generator can run into, once more; the API server has the last word (tests/integration)."""
