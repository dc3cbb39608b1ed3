"""Labels that come back with a token: checked, counted once, scored, and attributed to the version that predicted.

A duplicate is refused as long as its token's id is among the last ``duplicate_window_rows`` that this replica accepted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from modelcycle_runtime.losses import Loss
from modelcycle_runtime.serve.tokens import Forged, Malformed, Signer, Token


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    FORGED = "forged"
    MALFORMED = "malformed"
    UNSCORABLE = "unscorable"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A token of ours with its label, which may be NaN or infinite."""

    token: Token
    label: float


@dataclass(slots=True)
class Sums:
    """Of one version, since the process started. A loss that is not finite enters no sum."""

    rows: int = 0
    positive: float = 0.0
    negative: float = 0.0
    squared: float = 0.0
    nonfinite: int = 0


@dataclass(slots=True)
class Scorer:
    """``own`` is the version whose loss.onnx ``loss`` is, or None when every version's tokens can be scored."""

    loss: Loss
    own: int | None = None

    def can_score(self, version: int) -> bool:
        return self.own is None or self.own == version


@dataclass(slots=True)
class Ledger:
    """What has come back so far. Written by the event loop alone, read by any thread."""

    scorer: Scorer
    window: int
    sums: dict[int, Sums] = field(default_factory=dict)
    rejected: dict[Outcome, int] = field(default_factory=lambda: {o: 0 for o in Outcome if o is not Outcome.ACCEPTED})
    watermark: int | None = None
    """Greatest event time among the labels accepted, nanoseconds since 1970."""
    _seen: dict[bytes, None] = field(default_factory=dict)

    def reject(self, outcome: Outcome) -> Outcome:
        self.rejected[outcome] += 1
        return outcome

    def score(self, rows: Sequence[Labelled]) -> list[Outcome]:
        """What becomes of each of ``rows``, in their order."""
        outcomes = [self._admit(row.token) for row in rows]
        accepted = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome is Outcome.ACCEPTED]
        for version in {row.token.version for row in accepted}:
            self._add(version, [row for row in accepted if row.token.version == version])
        return outcomes

    def _admit(self, token: Token) -> Outcome:
        if not self.scorer.can_score(token.version):
            return self.reject(Outcome.UNSCORABLE)
        if token.id in self._seen:
            return self.reject(Outcome.DUPLICATE)
        self._seen[token.id] = None
        if len(self._seen) > self.window:
            del self._seen[next(iter(self._seen))]
        return Outcome.ACCEPTED

    def _add(self, version: int, rows: Sequence[Labelled]) -> None:
        losses = self.scorer.loss([row.label for row in rows], [row.token.prediction for row in rows])
        with np.errstate(over="ignore"):
            finite = losses[np.isfinite(losses * losses)]
        sums = self.sums.setdefault(version, Sums())
        sums.rows += len(finite)
        sums.nonfinite += len(rows) - len(finite)
        sums.positive += float(finite[finite > 0].sum())
        sums.negative -= float(finite[finite < 0].sum())
        sums.squared += float((finite * finite).sum())
        latest = max(row.token.event_time for row in rows)
        self.watermark = latest if self.watermark is None else max(self.watermark, latest)


def read_row(signer: Signer, sent: Any) -> Labelled | Outcome:  # noqa: ANN401
    """A row of the request, or why it is none."""
    if not isinstance(sent, Mapping) or not isinstance(sent.get("token"), str):
        return Outcome.MALFORMED
    try:
        return Labelled(signer.read(sent["token"]), _number(sent["label"]))
    except (KeyError, Malformed, TypeError):
        return Outcome.MALFORMED
    except Forged:
        return Outcome.FORGED


def _number(sent: Any) -> float:  # noqa: ANN401
    if sent is None:  # what JavaScript writes for NaN
        return math.nan
    if type(sent) not in {int, float}:
        raise TypeError
    try:
        return float(sent)
    except OverflowError:
        return math.inf
