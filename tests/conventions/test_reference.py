"""The generated API reference is current, and complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelcycle.api.schema import crd, reference
from modelcycle.api.schema.kinds import KINDS, Kind

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.render(), "run `make crds`"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_has_a_row(kind: Kind) -> None:
    page = reference.render()
    schema = crd.object_schema(kind)
    paths = [f.path for part in ("spec", "status") for f in reference.fields(schema["properties"][part], part)]
    assert len(paths) > 40
    assert not [path for path in paths if f"| `{path}` |" not in page]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param("| `spec.image` | text, at most 512 | **required** | Container image", id="required text"),
        pytest.param("| `spec.asOf` | time | - | Nothing that became known later", id="optional time"),
        pytest.param("| `spec.resources.gpu` | integer, 0 to 64 | `0` | GPUs", id="number with a default"),
        pytest.param("| `spec.mode` | `Observe` \\| `Enforce` | `Observe` | Observe: only say", id="choice"),
        pytest.param("| `spec.rollout.steps[].replicas.percent` | integer, 1 to 100 | **required** |", id="in a list"),
        pytest.param("- `spec.model.aliases`: champion and challenger must be two", id="rule of an object"),
        pytest.param("- `spec.env[]`: exactly one of value, secretKeyRef, configMapKeyRef", id="rule of an item"),
    ],
)
def test_a_row_says_what_the_field_is(row: str) -> None:
    assert row in reference.render()
