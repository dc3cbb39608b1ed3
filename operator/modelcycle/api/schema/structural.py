"""From a pydantic model to a structural schema, the subset of OpenAPI that a CustomResourceDefinition allows.

pydantic writes JSON Schema with references, null unions and titles; the API server wants one tree in which each node
has one type. What is said in a model (descriptions, bounds, ``x-kubernetes-...`` markers, CEL rules) is kept; what the
API server has no word for raises ``UnstructurableError`` when the schema is made, never when it is applied.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from modelcycle.api.v1alpha1.common import RULES

Schema = dict[str, Any]

_KEPT = frozenset(
    {
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
    }
)


class UnstructurableError(Exception):
    """A model says something that a structural schema can't express; the message names the model and the field."""


def structural(model: type[BaseModel], *, defaults: bool = True) -> Schema:
    """The structural schema of ``model``. ``defaults=False`` leaves defaults out, as a status must have none."""
    schema = model.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs", {})
    return _Converter(definitions, defaults=defaults).convert(schema, model.__name__)


class _Converter:
    def __init__(self, definitions: Mapping[str, Schema], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def convert(self, node: Schema, where: str) -> Schema:
        flat = _integer_bounds(_const_as_enum(self._inlined(node, where)))
        kept = {key: value for key, value in flat.items() if key in _KEPT or key.startswith("x-kubernetes-")}
        unknown = flat.keys() - kept.keys() - {"title"}
        if unknown:
            raise UnstructurableError(f"{where}: a structural schema has no {', '.join(sorted(unknown))}")
        return _ordered(self._with_children(self._with_default(kept), where))

    def _inlined(self, node: Schema, where: str) -> Schema:
        """``node`` with its null alternative dropped and its reference replaced by what it refers to."""
        if "anyOf" in node:
            return self._inlined(_without_null(node, where), where)
        if "$ref" not in node:
            return node
        siblings = {key: value for key, value in node.items() if key != "$ref"}
        target = self._definitions[node["$ref"].removeprefix("#/$defs/")]
        return _merged(self._inlined(target, where), siblings)

    def _with_default(self, node: Schema) -> Schema:
        default = _without_absent(node.get("default"))
        rest = {key: value for key, value in node.items() if key != "default"}
        # An empty list or text says nothing: it would only clutter what `kubectl get -o yaml` shows.
        return rest | {"default": default} if self._defaults and default not in (None, [], "") else rest

    def _with_children(self, node: Schema, where: str) -> Schema:
        children: Schema = {}
        if "properties" in node:
            children["properties"] = {
                name: self.convert(child, f"{where}.{name}") for name, child in node["properties"].items()
            }
        if "items" in node:
            children["items"] = self.convert(node["items"], f"{where}[]")
        return node | children


def _without_null(node: Schema, where: str) -> Schema:
    """``node`` with the one alternative of its ``anyOf`` that is not null merged into it."""
    alternatives = [option for option in node["anyOf"] if option != {"type": "null"}]
    if len(alternatives) != 1:
        raise UnstructurableError(f"{where}: a structural schema has one type, here are {len(alternatives)}")
    return _merged(alternatives[0], {key: value for key, value in node.items() if key != "anyOf"})


def _merged(target: Schema, siblings: Schema) -> Schema:
    """What a field says of itself (``siblings``) on top of what its type says, with both descriptions and all rules."""
    both = target | siblings
    descriptions = [part["description"] for part in (siblings, target) if "description" in part]
    if descriptions:
        both["description"] = " ".join(dict.fromkeys(" ".join(text.split()) for text in descriptions))
    rules = [rule for part in (target, siblings) for rule in part.get(RULES, ())]
    return both | {RULES: rules} if rules else both


def _const_as_enum(node: Schema) -> Schema:
    if "const" not in node:
        return node
    return {key: value for key, value in node.items() if key != "const"} | {"enum": [node["const"]]}


def _integer_bounds(node: Schema) -> Schema:
    """Exclusive bounds of integers as inclusive ones, since OpenAPI v3.0 has another form for exclusive bounds."""
    bounds = {"exclusiveMinimum": ("minimum", 1), "exclusiveMaximum": ("maximum", -1)}
    moved = {key: node[name] + step for name, (key, step) in bounds.items() if name in node}
    kept = {key: value for key, value in node.items() if key not in bounds}
    return {key: _whole(value) if key in ("minimum", "maximum") else value for key, value in (kept | moved).items()}


def _whole(bound: float) -> float:
    return int(bound) if math.isfinite(bound) and bound == int(bound) else bound


def _without_absent(value: object) -> object:
    """A default in JSON as the API server wants it: fields that are null or empty are left out."""
    if isinstance(value, dict):
        kept = {key: _without_absent(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [])}
    return [_without_absent(item) for item in value] if isinstance(value, list) else value


def _ordered(node: Schema) -> Schema:
    """Description and type first, children last, so that the YAML reads well."""
    first, last = ("description", "type"), ("required", "properties", "items", RULES)
    middle = sorted(key for key in node if key not in (*first, *last))
    return {key: node[key] for key in (*first, *middle, *last) if key in node}
