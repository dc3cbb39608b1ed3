"""Champion against challenger on the same rows, which neither was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modelcycle_runtime.contract import ARTIFACT_LOSS
from modelcycle_runtime.errors import DataError, ModelUnusable
from modelcycle_runtime.evaluate.candidate import Candidate, load_candidate
from modelcycle_runtime.evaluate.rules import Losses, Outcome, Reason, Verdict, judge
from modelcycle_runtime.evaluate.settings import GateSettings
from modelcycle_runtime.losses import Loss, LossName, built_in, load_loss
from modelcycle_runtime.split import Split, split
from modelcycle_runtime.table import Table, read_table


@dataclass(frozen=True, slots=True)
class Result:
    """The verdict with what it rests on, as far as the gate came."""

    verdict: Verdict
    challenger: Candidate
    champion: Candidate | None
    parts: Split | None = None
    rows: Table | None = None
    """Those judged on: withheld, and not trained on by the champion."""
    challenger_losses: Losses | None = None
    champion_losses: Losses | None = None


def run_gate(settings: GateSettings) -> Result:
    """Judges the challenger.

    Raises:
        ModelUnusable: a model can't be loaded or does not answer with one number a row.
    """
    challenger = load_candidate(settings.challenger, settings.challenger_dir)
    champion = None
    if settings.champion is not None and settings.champion_dir is not None:
        champion = load_candidate(settings.champion, settings.champion_dir)
    refusal = check_signature(challenger, champion)
    if refusal is not None:
        return Result(refusal, challenger, champion)
    try:
        return _compare(settings, challenger, champion)
    except DataError as error:
        return Result(Verdict(Outcome.UNKNOWN, Reason.DATA_UNREADABLE, str(error)), challenger, champion)


def _compare(settings: GateSettings, challenger: Candidate, champion: Candidate | None) -> Result:
    loss = _loss(settings, challenger, champion)
    table = read_table(settings.table, settings.table_columns(_columns(challenger, champion)))
    parts = split(table, settings.as_of, settings.holdout)
    refusal = check_trained_on(parts.withheld, challenger.trained_on())
    if refusal is not None:
        return Result(refusal, challenger, champion, parts)
    rows = parts.withheld if champion is None else unseen(parts.withheld, champion.trained_on())
    new = loss(rows.label, challenger.predict(rows))
    old = None if champion is None else loss(rows.label, champion.predict(rows))
    return Result(judge(old, new, settings.rules), challenger, champion, parts, rows, new, old)


def check_signature(challenger: Candidate, champion: Candidate | None) -> Verdict | None:
    """Clients of the champion must be able to talk to the challenger."""
    if champion is None or challenger.model.signature() == champion.model.signature():
        return None
    kinds = (
        ("inputs", champion.model.inputs, challenger.model.inputs),
        ("outputs", champion.model.outputs, challenger.model.outputs),
    )
    said = "; ".join(
        f"{kind}: the champion has {', '.join(map(str, old))}, the challenger {', '.join(map(str, new))}"
        for kind, old, new in kinds
    )
    return Verdict(Outcome.REJECTED, Reason.SIGNATURE_DIFFERS, said)


def check_trained_on(withheld: Table, trained_on: NDArray[np.uint64] | None) -> Verdict | None:
    """A challenger that was trained on the rows of its examination has passed nothing."""
    seen = 0 if trained_on is None else int(np.isin(withheld.digests, trained_on).sum())
    if not seen:
        return None
    message = f"{seen} of the {len(withheld)} withheld rows are among those that it was trained on"
    return Verdict(Outcome.REJECTED, Reason.TRAINED_ON_HOLDOUT, message, rows=len(withheld))


def unseen(withheld: Table, trained_on: NDArray[np.uint64] | None) -> Table:
    """The rows of ``withheld`` that the champion was not trained on: on others it would look better than it is."""
    return withheld if trained_on is None else withheld.take(~np.isin(withheld.digests, trained_on))


def _columns(challenger: Candidate, champion: Candidate | None) -> tuple[str, ...] | None:
    """All columns that either takes; None (all of the table) when one of them does not say."""
    asked = [candidate.columns for candidate in (challenger, champion) if candidate is not None]
    known = [names for names in asked if names is not None]
    return tuple(dict.fromkeys(name for names in known for name in names)) if len(known) == len(asked) else None


def _loss(settings: GateSettings, challenger: Candidate, champion: Candidate | None) -> Loss:
    """One yardstick for both: with the loss ``Model`` that of the champion, which the challenger can't choose."""
    if settings.loss is not LossName.MODEL:
        return built_in(settings.loss, settings.pinball_quantile)
    owner = champion or challenger
    path = owner.folder / ARTIFACT_LOSS
    if not path.is_file():
        raise ModelUnusable(f"the loss is Model, and version {owner.version} has no {ARTIFACT_LOSS}")
    return load_loss(path)
