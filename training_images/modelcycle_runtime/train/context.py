"""What the operator tells a training pod, read from its environment once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from modelcycle_runtime import contract
from modelcycle_runtime.errors import DataError, UserError
from modelcycle_runtime.split import Holdout, parse_as_of, parse_holdout

ParameterT = TypeVar("ParameterT", int, float, str, bool)
# bool("false") is True.
_READERS: Mapping[type, Callable[[str], Any]] = {bool: lambda text: {"true": True, "false": False}[text.lower()]}


@dataclass(frozen=True, slots=True)
class Context:
    """``as_of``: nanoseconds since 1970, None for no limit. ``run_id``: None outside of a cluster."""

    run_id: str | None
    parameters: Mapping[str, str]
    data: Mapping[str, Path]
    as_of: int | None
    holdout: Holdout
    seed: int


def read_context(environment: Mapping[str, str]) -> Context:
    """Understand the variables of ``docs/reference/pods.md``; outside of a cluster all of them may be absent.

    Raises:
        DataError: a variable is set to something that can't be understood; the message names it.
    """
    return Context(
        run_id=environment.get(contract.ENV_RUN_ID),
        parameters=_texts(environment, contract.ENV_PARAMETERS),
        data={name: Path(path) for name, path in _texts(environment, contract.ENV_DATA).items()},
        as_of=parse_as_of(environment.get(contract.ENV_AS_OF)),
        holdout=parse_holdout(environment.get(contract.ENV_HOLDOUT)),
        seed=_whole_number(environment, contract.ENV_SEED),
    )


def parameter_like(parameters: Mapping[str, str], name: str, default: ParameterT) -> ParameterT:
    """Give parameter ``name`` in the type of ``default``, which stands in where the training does not have it.

    Raises:
        UserError: the text can't be read as that type.
    """
    text = parameters.get(name)
    if text is None:
        return default
    kind: Callable[[str], ParameterT] = _READERS.get(type(default), type(default))
    try:
        return kind(text)
    except (KeyError, ValueError) as error:
        raise UserError(f"parameter {name}: {text!r} is no {type(default).__name__}") from error


def _texts(environment: Mapping[str, str], variable: str) -> dict[str, str]:
    try:
        record = json.loads(environment.get(variable, "{}"))
    except ValueError as error:
        raise DataError(f"{variable}: not JSON: {error}") from error
    if not isinstance(record, dict) or not all(isinstance(value, str) for value in record.values()):
        raise DataError(f"{variable}: must be a JSON object of texts; is {record}")
    return record


def _whole_number(environment: Mapping[str, str], variable: str) -> int:
    text = environment.get(variable, "0")
    try:
        return int(text)
    except ValueError as error:
        raise DataError(f"{variable}: {text!r} is no whole number") from error
