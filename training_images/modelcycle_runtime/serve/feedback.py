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


EXPLAINED = {
    Outcome.DUPLICATE: "a label came with this token before",
    Outcome.FORGED: "token: not signed with this deployment's key",
    Outcome.UNSCORABLE: "token: of another version than the one here, whose loss is a part of the model",
}
"""What is wrong wherever one reason is all there is; a malformed row has one of its own."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a row, and why; no reason where it was accepted."""

    outcome: str
    reason: str | None = None


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


def fate_of(outcome: str) -> Fate:
    """Outcome of a row that could be read, here or at another replica."""
    return Fate(outcome, next((text for known, text in EXPLAINED.items() if known == outcome), None))


def read_row(signer: Signer, sent: Any) -> Labelled | Fate:  # noqa: ANN401
    """A row of the request, or why it is none."""
    wrong = _wrong(sent)
    if wrong is not None:
        return Fate(Outcome.MALFORMED, wrong)
    try:
        return Labelled(signer.read(sent["token"]), _number(sent["label"]))
    except Malformed:
        return Fate(Outcome.MALFORMED, "token: is no feedback token; send back what parameters.feedback_token has")
    except Forged:
        return fate_of(Outcome.FORGED)


def _wrong(sent: Any) -> str | None:  # noqa: ANN401
    """What is missing or of the wrong type."""
    if not isinstance(sent, Mapping):
        return f'must be {{"token": text, "label": number}}, is {_kind(sent)}'
    for field_, wanted, types in (("token", "a text", {str}), ("label", "a number", {int, float, type(None)})):
        if field_ not in sent:
            return f"{field_} is missing"
        if type(sent[field_]) not in types:
            return f"{field_} must be {wanted}, is {_kind(sent[field_])}"
    return None


def _kind(sent: Any) -> str:  # noqa: ANN401
    """A value's type as JSON has it."""
    kinds = {str: "a text", bool: "true or false", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(sent), "a number")


def _number(sent: float | None) -> float:
    if sent is None:  # what JavaScript writes for NaN
        return math.nan
    try:
        return float(sent)
    except OverflowError:
        return math.inf
