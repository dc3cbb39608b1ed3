"""The page of the training library names what the library has, with the arguments that it takes."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

from modelcycle_runtime import errors
from modelcycle_runtime.losses import LossName
from modelcycle_runtime.table import Table
from modelcycle_runtime.train import Training
from modelcycle_runtime.train.ending import EXIT_TERMINATED

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "library.md").read_text(encoding="utf-8")
# What a training program may end with; the other failures are of fetching and serving.
ENDS = (
    errors.UserError,
    errors.OutOfMemory,
    errors.DataError,
    errors.TrackingUnavailable,
    errors.NonFiniteLoss,
    errors.DeviceFault,
)


def first_cells(heading: str) -> list[str]:
    """First cells of the tables below a heading, up to the next one."""
    section = re.split(r"^#+ ", PAGE.split(f"{heading}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    return [cell for cell in rows if cell not in ("member", "argument", "loss", "exit code", "")]


def public(of: type) -> list[str]:
    return [name for name in dir(of) if not name.startswith("_")]


def shown(name: str, member: object) -> str:
    """A member as the page writes it: arguments and defaults, without types."""
    if not callable(member):
        return f"`t.{name}`"
    signature = inspect.signature(member)
    plain = [
        parameter.replace(
            annotation=inspect.Parameter.empty,
            default=str(parameter.default) if isinstance(parameter.default, LossName) else parameter.default,
        )
        for parameter in list(signature.parameters.values())[1:]
    ]
    return f"`t.{name}{signature.replace(parameters=plain, return_annotation=inspect.Signature.empty)}`"


def test_every_member_of_a_training_has_a_row_with_its_arguments() -> None:
    assert set(first_cells("## `Training`")) == {shown(name, getattr(Training, name)) for name in public(Training)}


def test_every_argument_of_a_table_is_explained() -> None:
    given = {name for cell in first_cells("### The table") for name in re.findall(r"`(\w+)", cell)}
    arguments = set(inspect.signature(Training.table).parameters) - {"self"}
    members = {*(field.name for field in fields(Table)), "feature_names", "digest", "take"}
    assert given == arguments | members
    assert members == set(public(Table))


def test_every_loss_has_a_row() -> None:
    assert first_cells("### The loss") == [f"`{name}`" for name in LossName]


def test_every_ending_has_a_row() -> None:
    section = PAGE.split("## `training()`\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| (\w*) ?\|", section, re.MULTILINE)
    assert rows == [("0", ""), *((str(end.exit_code), end.kind) for end in ENDS), (str(EXIT_TERMINATED), "")]
