"""The maps have every leaf of the CRDs, no other, and the page says what they say."""

from __future__ import annotations

import pytest

from modelcycle.api.v1alpha1.training import FIXED_FIELDS
from tests.transitions import page
from tests.transitions.bases import BASES
from tests.transitions.effects import When
from tests.transitions.leaves import differing, leaves
from tests.transitions.maps import MAPS
from tests.transitions.values import MODELS, Transition, fits, transitions

EVERY = [(kind, name) for kind, specs in BASES.items() for name in specs]


@pytest.mark.parametrize("kind", MAPS)
def test_a_map_has_every_leaf_of_the_crd_and_no_other(kind: str) -> None:
    assert MAPS[kind].leaves.keys() == leaves(kind).keys()


@pytest.mark.parametrize("kind", MAPS)
def test_each_leaf_changes_something_or_says_why_not(kind: str) -> None:
    rows = MAPS[kind].leaves
    assert not [leaf for leaf, row in rows.items() if not (row.changes or row.decides or row.why)]


@pytest.mark.parametrize("kind", MAPS)
def test_decisions_are_those_that_leaves_are_part_of(kind: str) -> None:
    one = MAPS[kind]
    assert {name for row in one.leaves.values() for name in row.decides} == one.decisions.keys()


def test_what_a_training_fixes_is_what_the_map_calls_so() -> None:
    fixed = {leaf for leaf, row in MAPS["ModelTraining"].leaves.items() if row.when is When.CREATION}
    assert {leaf.partition(".")[0].removesuffix("[]") for leaf in fixed} == set(FIXED_FIELDS)


def test_the_page_is_what_the_maps_say() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), "run `make crds`"


# --- the generator ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", BASES)
def test_the_generator_reaches_every_leaf(kind: str) -> None:
    reached = {one.leaf for spec in BASES[kind].values() for one in transitions(kind, spec)}
    assert reached == leaves(kind).keys()


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_each_transition_is_a_valid_spec_in_which_its_leaf_differs(kind: str, name: str) -> None:
    base = BASES[kind][name]
    assert fits(kind, base)
    found: list[Transition] = list(transitions(kind, base))
    assert len(found) > 40
    for one in found:
        MODELS[kind].model_validate(one.spec)
        assert one.leaf in differing(base, one.spec), str(one)
