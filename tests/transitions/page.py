"""docs/reference/effects.md, made from the maps: `python -m tests.transitions.page` writes it (so does `make crds`)."""

from __future__ import annotations

import re
from pathlib import Path

from tests.transitions.effects import Map, Row, When
from tests.transitions.map_training import KEY
from tests.transitions.maps import MAPS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "effects.md"
_INTRODUCTION = """\
# What each field changes, and when

Generated from the maps in `tests/transitions` by `make crds`; changes by hand are lost. The maps are not written after
the code, they are checked against it: each field is changed, removed and added in the midst of whatever goes on, and
exactly what stands here has to change. What each field means is in the [API reference](api.md).

`Job`, `Deployment` and the like are children of the resource, `GateJob` is the evaluation of a cycle. What happens in
MLflow has the name of what is done there: `EnsureRun` and `EndRun` (the training's run), `FindRegistered` (was it
trained before?), `RegisterModel`, `SetAlias` (by a training or a policy), `MoveAlias` (by the deployment that owns the
model), `ClaimModel` (the owner's tag), `SetVersionTags` (verdicts); `KeepConfigMap` copies what a training takes from
ConfigMaps. `asks` is what is read of MLflow and Prometheus.

Every field of a ModelTraining that can't be changed is part of its key (`status.key`), by which MLflow is asked whether
it was trained before: a training in which one of them is another is another training.

A value that the API server can't judge (an image that does not exist, an endpoint that nobody defined, a schedule that
never comes) is told in a condition, and what served goes on. Once the field is good again the resource is as it was.
"""


def render() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *(_section(one) for one in MAPS.values())])


def _section(one: Map) -> str:
    rows = [_row(one, leaf, row) for leaf, row in one.leaves.items()]
    heading = [f"## {one.kind}\n", "| field of `spec` | changes | when |", "|---|---|---|"]
    return "\n".join([*heading, *rows, ""])


def _row(one: Map, leaf: str, row: Row) -> str:
    told = [f"`{_path(path)}`" for path in row.changes]
    told += [one.decisions[name].about for name in row.decides if name != KEY]
    changes = ", ".join(told) or "its key only"
    return f"| `{leaf}` | {changes}.{' ' + row.why if row.why else ''} | {_when(row.when)} |"


def _path(path: str) -> str:
    """Shorter: everybody knows where the containers of a Job are."""
    return re.sub(r"\.spec\.template\.spec(?=\.)", " pod:", path).replace("pod:.", "pod: ")


def _when(when: When) -> str:
    return when.value


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
