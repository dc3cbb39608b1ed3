"""The leaves of the three CRDs: where they are in a spec, and how one is set, removed, and told apart.

A leaf is written as in the API reference: ``env[].secretKeyRef.name``. A place is where it is in one spec:
``("env", 1, "secretKeyRef", "name")``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]
Spec = dict[str, Any]
Place = tuple[str | int, ...]
CRDS = Path(__file__).parents[2] / "crds"
_FILES = {
    "ModelTraining": "modelcycle.dev_modeltrainings.yaml",
    "ModelDeployment": "modelcycle.dev_modeldeployments.yaml",
    "RetrainPolicy": "modelcycle.dev_retrainpolicies.yaml",
}


@cache
def schema_of(kind: str) -> Schema:
    """The schema of ``spec`` in the committed CRD."""
    (version,) = yaml.safe_load((CRDS / _FILES[kind]).read_text(encoding="utf-8"))["spec"]["versions"]
    spec: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return spec


@cache
def leaves(kind: str) -> dict[str, Schema]:
    """Every leaf of the kind's spec with its schema, in the order of the CRD."""
    return dict(_below(schema_of(kind), ""))


def _below(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    if "properties" in schema:
        for name, child in schema["properties"].items():
            yield from _below(child, f"{path}.{name}" if path else name)
    elif "items" in schema:
        yield from _below(schema["items"], f"{path}[]")
    else:
        yield path, schema


def leaf_of(place: Place) -> str:
    text = ""
    for part in place:
        text += "[]" if isinstance(part, int) else f".{part}" if text else part
    return text


def told(place: Place) -> str:
    """As the API server writes it: ``spec.env[1].name``."""
    return "spec" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)


def places(spec: Spec, leaf: str) -> list[Place]:
    """Where in ``spec`` the leaf is."""
    return [place for place, _ in contents(spec) if leaf_of(place) == leaf]


def contents(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every leaf that is in a spec, with its value."""
    if isinstance(value, dict):
        for name, child in value.items():
            yield from contents(child, (*place, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from contents(child, (*place, index))
    else:
        yield place, value


def at(spec: Spec, place: Place) -> Any:
    found: Any = spec
    for part in place:
        found = found[part]
    return found


def replaced(spec: Spec, place: Place, value: Any) -> Spec:
    changed = copy.deepcopy(spec)
    at(changed, place[:-1])[place[-1]] = value
    return changed


def removed(spec: Spec, place: Place) -> Spec:
    changed = copy.deepcopy(spec)
    del at(changed, place[:-1])[place[-1]]
    return changed


def item_of(place: Place) -> Place | None:
    """The innermost item of a list that a place is in; None where it is in none."""
    last = max((number for number, part in enumerate(place) if isinstance(part, int)), default=None)
    return None if last is None else place[: last + 1]


def schema_at(kind: str, place: Place) -> Schema:
    schema = schema_of(kind)
    for part in place:
        schema = schema["items"] if isinstance(part, int) else schema["properties"][part]
    return schema


def grafted(kind: str, spec: Spec, donor: Spec, place: Place) -> Spec:
    """``spec`` with what lies at ``place`` of ``donor``, and as little else of it as the schema allows."""
    changed = copy.deepcopy(spec)
    target: Any = changed
    for number, part in enumerate(place):
        here = place[: number + 1]
        if isinstance(part, int):
            target.append(_least(kind, donor, here, place))  # all lists of ours tell their items apart
            break
        if part in target and number < len(place) - 1:
            target = target[part]
            continue
        if isinstance(at(donor, here), list) and number < len(place) - 1:
            target[part] = [_least(kind, donor, place[: number + 2], place)]
        else:
            target[part] = _least(kind, donor, here, place)
        break
    return changed


def _least(kind: str, donor: Spec, here: Place, place: Place) -> Any:
    """The part of ``donor`` at ``here`` that has the leaf at ``place``, with what is required beside it."""
    value = at(donor, here)
    if not isinstance(value, dict):
        return copy.deepcopy(value)
    wanted = place[len(here)] if len(here) < len(place) else None
    kept = {}
    for name, child in value.items():
        if name == wanted:
            kept[name] = _least(kind, donor, (*here, name), place)
        elif name in schema_at(kind, here).get("required", ()):
            kept[name] = copy.deepcopy(child)
    return kept


def differing(before: Spec, after: Spec) -> set[str]:
    """The leaves in which two specs differ."""
    return {leaf_of(place) for place in _differing(before, after, ())}


_NOTHING = object()


def _differing(before: Any, after: Any, place: Place) -> Iterator[Place]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {*before, *after}:
            yield from _differing(before.get(name, _NOTHING), after.get(name, _NOTHING), (*place, name))
    elif isinstance(before, list) and isinstance(after, list):
        yield from _in_lists(before, after, place)
    elif before is _NOTHING or after is _NOTHING:
        yield from (found for found, _ in contents(after if before is _NOTHING else before, place))
    elif before != after:
        yield place


def _in_lists(before: list[Any], after: list[Any], place: Place) -> Iterator[Place]:
    if len(before) == len(after):
        pairs = list(zip(before, after, strict=True))
    else:
        old, new = {_name(one): one for one in before}, {_name(one): one for one in after}
        pairs = [(old.get(name, _NOTHING), new.get(name, _NOTHING)) for name in {*old, *new}]
    for number, (one, other) in enumerate(pairs):
        yield from _differing(one, other, (*place, number))


def _name(item: Any) -> str:
    return str(item.get("name", item.get("key"))) if isinstance(item, dict) else str(item)
