"""Labels for predictions: what is sent, what became of it, and the exception for what did not count."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from modelcycle_client.errors import (
    ExpiredToken,
    FeedbackRefused,
    ForgedToken,
    GarbledAnswer,
    InvalidInput,
    MalformedFeedback,
    ReplayedToken,
)
from modelcycle_client.protocol import Request, read_json

ACCEPTED = "accepted"
_DUPLICATE = "duplicate"
# The gravest first: it is what a batch with several kinds is refused with.
_REFUSALS: dict[str, type[FeedbackRefused]] = {
    "forged": ForgedToken,
    "malformed": MalformedFeedback,
    "unscorable": ExpiredToken,
    _DUPLICATE: ReplayedToken,
}


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one label: ``accepted``, ``duplicate``, ``forged``, ``malformed`` or ``unscorable``, and why."""

    result: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of a batch, row by row in the order in which it was sent."""

    accepted: int
    rows: tuple[Fate, ...]
    resent: bool = False
    """It was sent again, as no answer came to it before: a ``duplicate`` may be one of its own then."""


def feedback_request(rows: Iterable[tuple[str, float]]) -> Request:
    """A batch of tokens with their labels. A label of NaN counts as not finite.

    Raises:
        InvalidInput: there is no row, or one is no pair of a text and a number.
    """
    try:
        batch = [{"token": token, "label": float(label)} for token, label in rows]
        body = json.dumps({"feedback": batch}, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"feedback: must be pairs of token and label: {error}") from error
    if not batch:
        raise InvalidInput("feedback: there is no row")
    return Request({"Content-Type": "application/json"}, (body,))


def read_feedback(body: bytes, *, resent: bool) -> Feedback:
    """What became of a batch.

    Raises:
        GarbledAnswer: it does not say.
    """
    record = read_json(body)
    try:
        rows = tuple(Fate(str(r), w) for r, w in zip(record["results"], record["reasons"], strict=True))
        return Feedback(int(record["accepted"]), rows, resent)
    except (KeyError, TypeError, ValueError) as error:
        raise GarbledAnswer(f"no answer to feedback: {type(error).__name__}: {error}") from error


def check(feedback: Feedback) -> Feedback:
    """The same, if all of it counted. Duplicates do when it was sent twice: the first time may have counted them.

    Raises:
        FeedbackRefused: the class below it that the gravest row has.
    """
    forgiven = {ACCEPTED, _DUPLICATE} if feedback.resent else {ACCEPTED}
    refused = [(place, fate) for place, fate in enumerate(feedback.rows) if fate.result not in forgiven]
    if not refused:
        return feedback
    gravest = next((result for result in _REFUSALS if any(fate.result == result for _, fate in refused)), "")
    place, first = next((place, fate) for place, fate in refused if fate.result == gravest or not gravest)
    others = f", and {len(refused) - 1} more" if len(refused) > 1 else ""
    message = f"feedback[{place}]: {first.result}: {first.reason}{others}; {feedback.accepted} were accepted"
    raise _REFUSALS.get(gravest, FeedbackRefused)(message, feedback)
