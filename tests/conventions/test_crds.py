"""The conventions of the API, checked over the generated YAML.

They are those of Kubernetes' API conventions and of its API linter, for the reasons that these give: bounds keep CEL's
cost and a resource's size finite, list types make server-side apply merge what it should, and descriptions teach.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from modelcycle.api.schema import crd

CRDS = Path(__file__).parents[2] / "crds"
FILES = sorted(CRDS.glob("*.yaml"))
# kubectl's client-side apply stops at 262,144 bytes, and each client downloads the schemas. The largest is
# RetrainPolicy, since the template of its trainings is most of a ModelTraining.
SIZE_LIMIT = 80_000
Schema = dict[str, Any]


def versions(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(file.read_text(encoding="utf-8"))["spec"]["versions"]
    return found


def schema_of(file: Path, part: str) -> Schema:
    (version,) = versions(file)
    found: Schema = version["schema"]["openAPIV3Schema"]["properties"][part]
    return found


def nodes(schema: Schema, path: str) -> Iterator[tuple[str, Schema]]:
    """Every schema below ``schema`` with its path; items of a list are at ``path[]``."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")


NODES = [
    (f"{file.stem}:{path}", node)
    for file in FILES
    for part in ("spec", "status")
    for path, node in nodes(schema_of(file, part), part)
]


def of_type(type_: str) -> list[tuple[str, Schema]]:
    return [(path, node) for path, node in NODES if node.get("type") == type_]


def test_the_files_are_what_the_models_say() -> None:
    assert {file.name: file.read_text(encoding="utf-8") for file in FILES} == crd.render(), "run `make crds`"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_crd_is_small(file: Path) -> None:
    assert file.stat().st_size < SIZE_LIMIT


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_status_is_a_subresource_and_has_conditions_first(file: Path) -> None:
    (version,) = versions(file)
    assert "status" in version["subresources"]
    assert next(iter(schema_of(file, "status")["properties"])) == "conditions"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_there_are_conditions_in_place_of_a_phase(file: Path) -> None:
    assert not {"phase", "state"} & schema_of(file, "status")["properties"].keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_columns_fit_a_terminal(file: Path) -> None:
    (version,) = versions(file)
    narrow = [column["name"] for column in version["additionalPrinterColumns"] if not column.get("priority")]
    assert 5 <= len(narrow) <= 7
    assert narrow[1] == "Reason"
    assert narrow[-1] == "Age"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_column_shows_a_field_that_exists(file: Path) -> None:
    (version,) = versions(file)
    known = {f".{path}" for part in ("spec", "status") for path, _ in nodes(schema_of(file, part), part)}
    shown = {column["jsonPath"] for column in version["additionalPrinterColumns"]} - {".metadata.creationTimestamp"}
    assert {path for path in shown if "conditions" not in path} <= known


def test_every_node_has_one_type() -> None:
    assert not [path for path, node in NODES if not isinstance(node.get("type"), str)]


def test_every_text_has_a_bound() -> None:
    assert not [path for path, node in of_type("string") if not {"maxLength", "enum", "format"} & node.keys()]


def test_every_list_has_a_bound_and_says_how_it_is_merged() -> None:
    assert not [path for path, node in of_type("array") if not {"maxItems", "x-kubernetes-list-type"} <= node.keys()]


def test_every_list_of_objects_is_a_map_or_atomic_on_purpose() -> None:
    sets = [path for path, node in of_type("array") if node["x-kubernetes-list-type"] == "set"]
    assert not [path for path, node in of_type("array") if path in sets and node["items"]["type"] == "object"]


def test_every_number_has_bounds() -> None:
    assert not [path for path, node in of_type("integer") if not {"minimum", "maximum"} <= node.keys()]


def test_there_are_no_floats() -> None:
    assert of_type("number") == []


def test_there_are_no_open_maps() -> None:
    open_ended = {"additionalProperties", "x-kubernetes-preserve-unknown-fields"}
    assert not [path for path, node in NODES if open_ended & node.keys()]


def test_every_object_and_field_is_described() -> None:
    lacking = [path for path, node in NODES if not node.get("description")]
    assert not [path for path in lacking if not path.endswith("[]")], "fields need a description"
    assert not [path for path, node in of_type("object") if path in lacking], "so do the objects in lists"


def test_every_description_is_a_sentence() -> None:
    assert not [path for path, node in NODES if not node.get("description", ".").endswith((".", "...", ")"))]


def test_the_description_of_a_field_says_its_default() -> None:
    """Since `kubectl explain` does not."""
    plain = [(node, node["default"]) for _, node in NODES if not isinstance(node.get("default", {}), (dict, list))]
    assert len(plain) > 60
    said = {True: "true", False: "false"}
    ends = [(node["description"], f" Default: {said.get(d, d) if isinstance(d, bool) else d}.") for node, d in plain]
    assert not [description for description, end in ends if not description.endswith(end)]


@pytest.mark.parametrize(
    ("schema", "description"),
    [
        pytest.param({"default": "1h"}, "How long. Default: 1h.", id="a text"),
        pytest.param({"default": {"time": "1d"}}, 'How long. Default: {"time": "1d"}.', id="an object"),
        pytest.param({"default": {}}, "How long.", id="an object with nothing in it"),
        pytest.param(
            {"default": {"a": 1}, "properties": {"a": {"description": "A.", "default": 1}}},
            "How long.",
            id="an object whose fields say it",
        ),
        pytest.param({}, "How long.", id="none"),
    ],
)
def test_how_a_default_is_said(schema: Schema, description: str) -> None:
    assert crd.with_defaults_told({"description": "How long.", **schema})["description"] == description


def test_what_is_required_has_no_default() -> None:
    pairs = ((path, name, node["properties"][name]) for path, node in NODES for name in node.get("required", ()))
    assert not [f"{path}.{name}" for path, name, child in pairs if "default" in child]


def test_the_status_has_no_defaults() -> None:
    assert not [path for path, node in NODES if ":status" in path and "default" in node]


def test_every_rule_says_what_is_wrong() -> None:
    rules = [(path, rule) for path, node in NODES for rule in node.get("x-kubernetes-validations", ())]
    assert len(rules) > 20
    assert not [path for path, rule in rules if not rule["message"]]
