"""What the API server takes and refuses of every leaf, in new resources and in live ones.

All with dry run: nothing is stored but the bases that are changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import pytest

from e2e.cluster import Cluster
from modelcycle.api.v1alpha1.common import API_VERSION
from modelcycle.cluster.kinds import KINDS
from tests.support.lab.kube import Kube, KubeError, Manifest, connect
from tests.transitions.bases import BASES, Spec
from tests.transitions.effects import When
from tests.transitions.leaves import differing, item_of, places, told
from tests.transitions.maps import MAPS
from tests.transitions.values import breaks, transitions

AT_ONCE = 8
EVERY = [(kind, name) for kind, specs in BASES.items() for name in specs]


class Try(NamedTuple):
    """``refused``: texts of which one has to be in the refusal; none: it has to be taken."""

    what: str
    spec: Spec
    refused: tuple[str, ...] = ()


@pytest.mark.parametrize(("kind", "name"), EVERY)
async def test_other_values_are_taken_and_broken_ones_refused_by_name(
    control_plane: Cluster, kind: str, name: str
) -> None:
    base = BASES[kind][name]
    tries = [Try(str(one), one.spec) for one in transitions(kind, base)]
    for one in breaks(kind, base):
        names = (told(one.place), told(item_of(one.place) or one.place))
        tries.append(Try(f"{told(one.place)}: {one.told}", one.spec, names))
    assert len(tries) > 50
    async with connect(control_plane.kubeconfig) as kube:
        assert await wrong(kube, "POST", kind, tries) == []


@pytest.mark.parametrize(("kind", "name"), EVERY)
async def test_a_live_resource_takes_what_its_map_says(control_plane: Cluster, kind: str, name: str) -> None:
    base, rows = BASES[kind][name], MAPS[kind].leaves
    async with connect(control_plane.kubeconfig) as kube:
        live = await kube.create(manifest(kind, f"live-{name}", base))
        stored = live["spec"]
        tries = []
        for one in transitions(kind, base):
            fixed = {leaf for leaf in differing(base, one.spec) if rows[leaf].when is When.CREATION}
            texts = ("can't be changed", "can only be extended")
            shorter = one.spec.get("deadlineSeconds", 86_400) < base.get("deadlineSeconds", 86_400)
            is_refused = (fixed or (kind == "ModelTraining" and shorter)) and not is_default(
                kind, base, one.spec, stored
            )
            tries.append(Try(str(one), one.spec, texts if is_refused else ()))
        found = await wrong(kube, "PUT", kind, tries, live)
        await kube.delete(KINDS[kind], "default", f"live-{name}")
    assert found == []


def is_default(kind: str, base: Spec, spec: Spec, stored: Spec) -> bool:
    """Whether all that is said anew is what the API server had filled in by itself."""
    changed = differing(base, spec)
    return all(
        [_at(spec, place) for place in places(spec, leaf)] == [_at(stored, place) for place in places(stored, leaf)]
        for leaf in changed
    )


def _at(spec: object, place: tuple[str | int, ...]) -> object:
    for part in place:
        spec = spec[part]  # type: ignore[index]
    return spec


def manifest(kind: str, name: str, spec: Spec) -> Manifest:
    metadata = {"namespace": "default", "name": name}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


async def wrong(kube: Kube, method: str, kind: str, tries: Iterable[Try], live: Manifest | None = None) -> list[str]:
    """What was answered otherwise than it should be."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def attempt(one: Try) -> str | None:
        name = live["metadata"]["name"] if live else "tried"
        body = live | {"spec": one.spec} if live else manifest(kind, name, one.spec)
        path = KINDS[kind].path("default", name if live else None) + "?dryRun=All&fieldValidation=Strict"
        async with gate:
            try:
                await kube.request(method, path, body)
            except KubeError as error:
                if one.refused and error.status in (400, 422) and any(text in str(error) for text in one.refused):
                    return None
                return f"{one.what} is refused: {str(error)[:600]}"
        return f"{one.what} is taken" if one.refused else None

    answers = await asyncio.gather(*(attempt(one) for one in tries))
    return [answer for answer in answers if answer is not None]
