"""CustomResourceDefinitions of the three kinds, made from the pydantic models."""

from __future__ import annotations

import json
from typing import Any

import yaml

from modelcycle.api.schema.kinds import KINDS, Column, Kind
from modelcycle.api.schema.structural import Schema, structural
from modelcycle.api.v1alpha1.common import GROUP, MAP_ATOMIC, RULES, VERSION

CATEGORY = "ml"
HEADER = "# Generated from operator/modelcycle/api/v1alpha1 by `make crds`; changes by hand are lost.\n"


def render() -> dict[str, str]:
    """File name -> YAML text of every CustomResourceDefinition."""
    return {f"{GROUP}_{kind.plural}.yaml": HEADER + _yaml(crd(kind)) for kind in KINDS}


def crd(kind: Kind) -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": [CATEGORY],
            },
            "versions": [_version(kind)],
        },
    }


def _version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [_column(column) for column in kind.columns],
        "subresources": {"status": {}} | (_SCALE if kind.scalable else {}),
        "schema": {"openAPIV3Schema": with_defaults_told(object_schema(kind))},
    }


_SCALE = {
    "scale": {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
}


def object_schema(kind: Kind) -> Schema:
    """Schema of the whole object; the API server itself adds apiVersion, kind and metadata."""
    return {
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": structural(kind.spec),
            # The operator alone writes it, as a whole: who owns which of its fields is nothing to keep books on.
            "status": structural(kind.status, defaults=False) | MAP_ATOMIC,
        },
        RULES: list(kind.rules),
    }


def with_defaults_told(schema: Schema) -> Schema:
    """``schema`` with each default also in the description, since `kubectl explain` shows nothing else of it."""
    told = dict(schema)
    if "properties" in schema:
        told["properties"] = {name: with_defaults_told(child) for name, child in schema["properties"].items()}
    if "items" in schema:
        told["items"] = with_defaults_told(schema["items"])
    default = schema.get("default")
    # An object's is told field by field, where its fields have some of their own.
    if default in (None, {}) or (isinstance(default, dict) and _has_default_fields(schema)):
        return told
    text = default if isinstance(default, str) else json.dumps(default)
    return told | {"description": f"{schema['description']} Default: {text}."}


def _has_default_fields(schema: Schema) -> bool:
    return any("default" in child for child in schema.get("properties", {}).values())


def _column(column: Column) -> dict[str, Any]:
    shown = {"name": column.name, "type": column.type, "jsonPath": column.path, "description": column.description}
    return shown | ({"priority": column.priority} if column.priority else {})


class _Dumper(yaml.SafeDumper):
    """Without anchors: a rule that occurs twice is written twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _yaml(value: object) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return text
