"""What the gate is told: the JSON of ``MODELCYCLE_GATE``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelcycle_runtime.errors import UserError
from modelcycle_runtime.evaluate.rules import GateRules
from modelcycle_runtime.losses import LossName
from modelcycle_runtime.split import Holdout, holdout_of, parse_as_of
from modelcycle_runtime.table import TableColumns


@dataclass(frozen=True, slots=True)
class GateSettings:
    tracking_uri: str
    run_id: str
    evidence_path: str
    challenger: str
    challenger_dir: Path
    champion: str | None
    champion_dir: Path | None
    table: Path
    time_column: str
    label_column: str
    known_column: str | None
    as_of: int | None
    """Nanoseconds since 1970."""
    holdout: Holdout
    rules: GateRules
    loss: LossName
    pinball_quantile: float

    def table_columns(self, features: tuple[str, ...] | None) -> TableColumns:
        return TableColumns(self.time_column, self.label_column, features, self.known_column)


def parse_settings(text: str) -> GateSettings:
    """The settings in the JSON ``text``.

    Raises:
        UserError: it is not as the contract has it.
        DataError: its holdout or asOf isn't.
    """
    try:
        return _settings(json.loads(text))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"MODELCYCLE_GATE is not as agreed: {type(error).__name__} {error}") from error


def _settings(record: dict[str, Any]) -> GateSettings:
    champion_dir = record["championDir"]
    return GateSettings(
        tracking_uri=record["trackingUri"],
        run_id=record["runId"],
        evidence_path=record["evidencePath"],
        challenger=str(record["challenger"]),
        challenger_dir=Path(record["challengerDir"]),
        champion=None if champion_dir is None else str(record["champion"]),
        champion_dir=None if champion_dir is None else Path(champion_dir),
        table=Path(record["table"]),
        time_column=record["timeColumn"],
        label_column=record["labelColumn"],
        known_column=record.get("knownColumn"),
        as_of=parse_as_of(record.get("asOf")),
        holdout=holdout_of(record.get("holdout")),
        rules=_rules(record),
        loss=LossName(record["loss"]),
        pinball_quantile=float(record.get("pinballQuantile", 0.5)),
    )


def _rules(record: dict[str, Any]) -> GateRules:
    bound = record.get("maxLoss")
    return GateRules(
        min_rows=int(record["minRows"]),
        alpha=float(record["alpha"]),
        min_improvement_percent=int(record.get("minImprovementPercent", 0)),
        max_loss=None if bound is None else float(bound),
    )
