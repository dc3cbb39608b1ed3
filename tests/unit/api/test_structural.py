"""From pydantic's JSON Schema to what the API server accepts, rule by rule."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import ConfigDict, Field

from modelcycle.api.schema.structural import UnstructurableError, structural
from modelcycle.api.v1alpha1.common import LIST_SET, ApiModel, cel, exactly_one_of, validations


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(ApiModel):
    """An inner object."""

    size: Annotated[int, Field(gt=0, lt=10, description="Its size.")] = 3
    label: Annotated[str | None, Field(max_length=5, description="Its label.")] = None


class Outer(ApiModel):
    """An outer object."""

    some_name: Annotated[str, Field(max_length=9, description="A name.")]
    colour: Annotated[Colour, Field(description="A colour.")] = Colour.RED
    only: Annotated[Literal["this"], Field(description="No choice.")] = "this"
    inner: Annotated[Inner, Field(description="What is inside.")] = Inner(size=4)
    maybe: Annotated[Inner | None, Field(description="Perhaps something.")] = None
    many: Annotated[tuple[Inner, ...], Field(max_length=2, json_schema_extra=LIST_SET, description="More.")] = ()


def fields(model: type[ApiModel], **options: bool) -> dict[str, Any]:
    properties: dict[str, Any] = structural(model, **options)["properties"]
    return properties


def test_names_are_in_camel_case() -> None:
    assert "someName" in fields(Outer)


def test_what_has_no_default_is_required() -> None:
    assert structural(Outer)["required"] == ["someName"]


def test_titles_are_dropped() -> None:
    assert "title" not in str(structural(Outer))


def test_a_reference_is_replaced_by_what_it_refers_to() -> None:
    assert fields(Outer)["inner"]["properties"].keys() == {"size", "label"}


def test_a_field_keeps_its_own_description_and_that_of_its_type() -> None:
    assert fields(Outer)["inner"]["description"] == "What is inside. An inner object."


def test_the_same_description_is_not_said_twice() -> None:
    class Same(ApiModel):
        inner: Annotated[Inner, Field(description="An inner object.")]

    assert fields(Same)["inner"]["description"] == "An inner object."


def test_an_optional_field_has_one_type_and_no_default() -> None:
    label = fields(Inner)["label"]
    assert label == {"description": "Its label.", "type": "string", "maxLength": 5}


def test_an_optional_object_keeps_its_children() -> None:
    assert fields(Outer)["maybe"]["properties"]["size"]["type"] == "integer"


def test_the_default_of_an_object_is_plain_json_without_absent_fields() -> None:
    assert fields(Outer)["inner"]["default"] == {"size": 4}


def test_an_empty_list_is_no_default() -> None:
    assert "default" not in fields(Outer)["many"]


def test_a_status_has_no_defaults() -> None:
    assert "default" not in str(structural(Outer, defaults=False))


def test_an_enum_keeps_its_default() -> None:
    colour = fields(Outer)["colour"]
    assert (colour["enum"], colour["default"]) == (["red", "blue"], "red")


def test_one_choice_is_an_enum_of_one() -> None:
    assert fields(Outer)["only"]["enum"] == ["this"]


def test_exclusive_bounds_of_integers_become_inclusive() -> None:
    size = fields(Inner)["size"]
    assert (size["minimum"], size["maximum"]) == (1, 9)
    assert not [key for key in size if key.startswith("exclusive")]


def test_markers_of_lists_are_kept() -> None:
    assert fields(Outer)["many"]["x-kubernetes-list-type"] == "set"
    assert fields(Outer)["many"]["maxItems"] == 2


def test_rules_of_a_model_and_of_its_field_are_both_kept() -> None:
    class Choice(ApiModel):
        model_config = ConfigDict(json_schema_extra=validations(exactly_one_of("a", "b")))

        a: Annotated[int | None, Field(description="One.")] = None
        b: Annotated[int | None, Field(description="Other.")] = None

    class Holder(ApiModel):
        choice: Annotated[
            Choice,
            Field(description="Choose.", json_schema_extra=validations(cel("has(self.a)", "a is needed here"))),
        ]

    messages = [rule["message"] for rule in fields(Holder)["choice"]["x-kubernetes-validations"]]
    assert messages == ["exactly one of a, b must be set", "a is needed here"]


class TwoTypes(ApiModel):
    value: Annotated[int | str, Field(description="Either.")]


class Pair(ApiModel):
    value: Annotated[tuple[int, str], Field(description="Both.")]


class Mapped(ApiModel):
    value: Annotated[dict[str, int], Field(description="Anything.")]


@pytest.mark.parametrize(
    ("model", "says"),
    [
        pytest.param(TwoTypes, r"TwoTypes\.value: .* one type, here are 2", id="a union of two types"),
        pytest.param(Pair, r"Pair\.value: .* no prefixItems", id="a list whose items differ"),
        pytest.param(Mapped, r"Mapped\.value: .* no additionalProperties", id="an open map"),
    ],
)
def test_what_can_not_be_said_is_an_error_that_names_the_field(model: type[ApiModel], says: str) -> None:
    with pytest.raises(UnstructurableError, match=says):
        structural(model)
