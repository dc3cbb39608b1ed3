"""The API reference in Markdown, made from the same schemas as the CustomResourceDefinitions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from modelcycle.api.schema.crd import CATEGORY, object_schema
from modelcycle.api.schema.kinds import KINDS, Kind
from modelcycle.api.schema.structural import Schema
from modelcycle.api.v1alpha1.common import API_VERSION

_INTRODUCTION = f"""\
# API reference

Generated from `operator/modelcycle/api/v1alpha1` by `make crds`; changes by hand are lost. `kubectl explain` says the
same. All resources are namespaced and of `{API_VERSION}`; everything that they refer to lies in their own
namespace. `kubectl get {CATEGORY}` lists all three kinds.

A field without which a resource is refused has **required** as its default; `-` stands for "absent". Durations are
`90s`, `5m`, `2h` or `7d`, decimal numbers are texts (`"0.05"`), times are RFC 3339.
"""


@dataclass(frozen=True, slots=True)
class Field:
    path: str
    schema: Schema
    required: bool


def render() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *(_section(kind) for kind in KINDS)])


def _section(kind: Kind) -> str:
    schema = object_schema(kind)
    spec, status = schema["properties"]["spec"], schema["properties"]["status"]
    return "\n".join(
        [
            f"## {kind.name} (`{kind.short}`)\n",
            f"{kind.description}\n",
            f"### {kind.name}: columns of `kubectl get {kind.short}`\n",
            *_columns(kind),
            f"\n### {kind.name}: spec\n",
            *_table(spec, "spec", with_default=True),
            f"\n### {kind.name}: what is refused\n",
            *(f"- {text}" for text in _rules(schema, "")),
            f"\n### {kind.name}: status\n",
            *_table(status, "status", with_default=False),
            "",
        ]
    )


def _columns(kind: Kind) -> Iterator[str]:
    yield "| column | from | says |"
    yield "|---|---|---|"
    for column in kind.columns:
        wide = " (`-o wide`)" if column.priority else ""
        yield f"| {column.name}{wide} | `{_cell(column.path)}` | {_cell(column.description)} |"


def _table(schema: Schema, root: str, *, with_default: bool) -> Iterator[str]:
    yield "| field | type | default | meaning |" if with_default else "| field | type | meaning |"
    yield "|---|---|---|---|" if with_default else "|---|---|---|"
    for field in fields(schema, root):
        default = f" {_default(field)} |" if with_default else ""
        yield f"| `{field.path}` | {_type(field.schema)} |{default} {_cell(field.schema['description'])} |"


def fields(schema: Schema, path: str) -> Iterator[Field]:
    """Every field below ``path``, depth first; items of a list are shown as ``list[]``."""
    required = schema.get("required", [])
    for name, child in schema.get("properties", {}).items():
        yield Field(f"{path}.{name}", child, name in required)
        inner = child.get("items", child)
        yield from fields(inner, f"{path}.{name}[]" if "items" in child else f"{path}.{name}")


def _type(schema: Schema) -> str:
    if "items" in schema:
        return f"list of {_type(schema['items'])}, at most {schema['maxItems']}"
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "integer":
        return f"integer, {schema['minimum']} to {schema['maximum']}"
    if schema["type"] == "string":
        return "time" if schema.get("format") == "date-time" else f"text, at most {schema['maxLength']}"
    return str(schema["type"])


def _default(field: Field) -> str:
    if field.required:
        return "**required**"
    return f"`{_cell(_plain(field.schema['default']))}`" if "default" in field.schema else "-"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _rules(schema: Schema, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"`{path}`: {rule['message']}" if path else rule["message"]
    for name, child in schema.get("properties", {}).items():
        yield from _rules(child, f"{path}.{name}".lstrip("."))
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
