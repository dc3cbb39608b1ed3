"""What others can see of a state, path by path, so that two of them can be compared.

A path begins with what it is of: a child's role, an effect's name, or ``status``. Which of several children (of which
version, which attempt) is in the picture, and not in the path that the map speaks of.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from modelcycle import constants as names
from modelcycle.core.plan import Effect, Manifest
from modelcycle.deployment.effects import EnsureFeedbackKey
from modelcycle.metricstore.load import InFlight
from modelcycle.metricstore.port import MetricQuery
from modelcycle.registry.port import ModelFact, ReadVersion, SetAlias
from modelcycle.training.effects import KeepConfigMap
from tests.check.state import OBJECTS, SLOTS, VALUES, State

Picture = Mapping[tuple[str, str], Hashable]
"""(path, which of several) -> value."""

TIMES = {"since", "time", "startedAt", "finishedAt", "startTime", "completionTime", "lastTransitionTime", "stepSince"}
LEFT_OUT = TIMES | {
    "observedGeneration",
    "summary",
    "message",
    "templateHash",
    "digest",
    "scheduleSince",
    "baseTime",
    "watermark",
    "sinceRows",
    "runningSeconds",
    "selector",
    "url",
    "query",
    "suspendedSince",
    "blockedSince",
    "evidence",
    "modelRoot",
    "runRoot",
    "replaced",
    "handled",
}
"""Of a status: times, texts, and what follows from the rest."""


def picture(state: State, kind: str, name: str, since: int) -> Picture:
    """Of ``kind`` and all that hangs on it; effects from the ``since``-th on."""
    seen: dict[tuple[str, str], Hashable] = {}
    for slot, number in state.store:
        seen.update(_of_slot(slot, number, kind, name))
    effects = [number for number in state.ghosts[since:] if isinstance(number, int)]
    seen.update(_of_effects([one for one in effects if kind != "RetrainPolicy" or isinstance(VALUES[one], SetAlias)]))
    seen.update(_of_facts(state))
    return seen


@cache
def _of_slot(slot: int, number: int, kind: str, name: str) -> Picture:
    return dict(of_object(SLOTS[slot], OBJECTS[number], kind, name))


# --- objects ---------------------------------------------------------------------------------------------------------
def of_object(slot: tuple[str, str], raw: Manifest, kind: str, name: str) -> Iterator[tuple[tuple[str, str], Hashable]]:
    role = _role(slot, raw)
    if slot == (kind, name):
        for path, value in _flat(_status(raw.get("status") or {}), "status"):
            yield (path, ""), value
        return
    if role is None or (kind == "RetrainPolicy" and role not in ("ModelTraining", "GateJob", "ModelDeployment")):
        return  # what a policy makes has a map of its own for what it makes
    which = slot[1]
    yield (f"{role}.exists", which), True
    if kind == "RetrainPolicy" and slot[0] == "ModelDeployment":
        yield ("ModelDeployment.status.stable.version", which), (raw["status"].get("stable") or {}).get("version")
    else:
        for path, value in _flat(raw.get("spec") or {}, f"{role}.spec"):
            yield (path, which), value


def _role(slot: tuple[str, str], raw: Manifest) -> str | None:
    """What a child is called in the map; None for what others make of children (pods)."""
    labels = raw["metadata"].get("labels") or {}
    if slot[0] == "Job":
        return "Job" if labels[names.LABEL_COMPONENT] == "training" else "GateJob"
    if slot[0] == "Service":
        return "PeersService" if slot[1].endswith("-peers") else "Service"
    return None if slot[0] == "Pod" else slot[0]


def _status(status: Manifest) -> Manifest:
    kept = _without(status)
    for one in ("starts", "failures"):
        if one in kept:
            kept[one] = len(kept[one])
    return kept  # type: ignore[no-any-return]


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: child for name, child in value.items() if name not in LEFT_OUT}
        return {
            name: _without(child) for name, child in kept.items() if not (name == "files" and isinstance(child, list))
        }
    return [_without(child) for child in value] if isinstance(value, list) else value


def _flat(value: Any, path: str) -> Iterator[tuple[str, Hashable]]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield from _flat(child, f"{path}.{name}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            name = _item(child, index)
            # An environment variable is one thing, wherever its value comes from; ours often have a document in them.
            yield from _flat(_parsed(child) if path.endswith(".env") else child, f"{path}[{name}]")
    else:
        yield path, value


def _item(child: Any, index: int) -> str:
    if not isinstance(child, dict):
        return str(index)
    for name in ("name", "type", "key", "version", "alias", "mountPath"):
        if name in child:
            return str(child[name])
    return str(child.get("number", index))


def _parsed(variable: Manifest) -> Any:
    text = variable.get("value", "")
    if not str(text).startswith("{"):
        return json.dumps({name: value for name, value in variable.items() if name != "name"}, sort_keys=True)
    return {name: json.dumps(value) for name, value in json.loads(text).items()}


# --- effects and facts -----------------------------------------------------------------------------------------------
def _of_effects(numbers: list[int]) -> Iterator[tuple[tuple[str, str], Hashable]]:
    """Readings and the key of the feedback are left out: nothing follows from them that is not seen otherwise."""
    counts: Counter[str] = Counter()
    for number in dict.fromkeys(numbers):
        name = type(VALUES[number]).__name__
        if name in (ReadVersion.__name__, EnsureFeedbackKey.__name__):
            continue
        counts[name] += 1
        yield (f"{name}.exists", str(counts[name])), True
        for path, value in _effect(number):
            yield (path, str(counts[name])), value


@cache
def _effect(number: int) -> tuple[tuple[str, Hashable], ...]:
    effect: Effect = VALUES[number]
    return tuple(_flat(_document(effect), type(effect).__name__))


def _document(effect: Effect) -> Manifest:
    if isinstance(effect, KeepConfigMap):
        return {"picks": str(effect.picks)}
    found = {field.name: getattr(effect, field.name) for field in fields(effect)}
    found["tags"] = {_tag(name): _verdict(value) for name, value in found.get("tags") or ()}
    return {name: value for name, value in found.items() if name not in ("since", "again", "logged_since", "replace")}


def _tag(name: str) -> str:
    return name.rpartition("/")[2]


def _verdict(value: str) -> str:
    return str(json.loads(value).get("verdict", value)) if value.startswith("{") else value


def _of_facts(state: State) -> Iterator[tuple[tuple[str, str], Hashable]]:
    """Which endpoints are asked, and for what; since when is left out."""
    asked = {VALUES[known.request] for known in state.facts}
    models = {(one.endpoint, one.model) for one in asked if isinstance(one, ModelFact)}
    queries = {(one.endpoint, _labels(one.query)) for one in asked if isinstance(one, MetricQuery)}
    queries |= {(one.endpoint, "requests in flight") for one in asked if isinstance(one, InFlight)}
    for name, found in (("mlflow", models), ("prometheus", queries)):
        yield (f"asks.{name}.endpoint", ""), tuple(sorted({endpoint for endpoint, _ in found}))
        yield (f"asks.{name}.for", ""), tuple(sorted({what for _, what in found}))


def _labels(query: str) -> str:
    return ",".join(re.findall(r'deployment="[^"]*"|modelcycle_[a-z_]*bin[a-z_]*', query))


# --- comparing -------------------------------------------------------------------------------------------------------
def differences(one: Picture, other: Picture) -> set[str]:
    """The paths at which two pictures differ. Of a child that only one of them has, only that it exists."""
    paths = {key for key in {*one, *other} if one.get(key) != other.get(key)}
    lone = {_child(path, which) for path, which in paths if path.endswith(".exists")}
    return {path for path, which in paths if path.endswith(".exists") or _child(path, which) not in lone}


def _child(path: str, which: str) -> tuple[str, str]:
    return path.partition(".")[0].partition("[")[0], which
