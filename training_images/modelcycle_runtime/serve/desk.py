"""Where feedback arrives: its rows are read, shared out to the replicas that own them, and scored."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelcycle_runtime.serve.errors import BadRequest
from modelcycle_runtime.serve.feedback import Fate, Labelled, Ledger, Outcome, fate_of, read_row
from modelcycle_runtime.serve.peers import Address, Peers
from modelcycle_runtime.serve.tokens import Signer

Share = dict[int, Labelled]
"""Rows by their place in the request."""


@dataclass(frozen=True, slots=True)
class Desk:
    ledger: Ledger
    signer: Signer
    peers: Peers

    async def answer(self, body: bytes, *, handed_over: bool) -> tuple[int, bytes]:
        """Status and JSON of the answer to ``body``."""
        try:
            return feedback_answer(await self.receive(body, handed_over=handed_over))
        except BadRequest as error:
            return 400, json.dumps({"error": str(error)}).encode()

    async def receive(self, body: bytes, *, handed_over: bool) -> list[Fate]:
        """What became of each row in ``body``; rows that another replica handed over are scored here.

        Raises:
            BadRequest: the body as a whole is not feedback.
        """
        sent = _rows(body)
        read = [read_row(self.signer, one) for one in sent]
        labelled = {place: row for place, row in enumerate(read) if isinstance(row, Labelled)}
        fates = {place: row for place, row in enumerate(read) if isinstance(row, Fate)}
        for fate in fates.values():
            self.ledger.reject(Outcome(fate.outcome))
        shares: Mapping[Address | None, Share] = {None: labelled} if handed_over else await self._shares(labelled)
        for settled in await asyncio.gather(*(self._settle(owner, share, sent) for owner, share in shares.items())):
            fates.update(settled)
        return [fates[place] for place in range(len(sent))]

    async def _shares(self, labelled: Share) -> Mapping[Address | None, Share]:
        owners = await self.peers.owners([row.token.id for row in labelled.values()])
        shares: dict[Address | None, Share] = defaultdict(dict)
        for owner, (place, row) in zip(owners, labelled.items(), strict=True):
            shares[owner][place] = row
        return shares

    async def _settle(self, owner: Address | None, share: Share, sent: Sequence[Any]) -> dict[int, Fate]:
        told = None if owner is None else await self.peers.hand_over(owner, [sent[place] for place in share])
        outcomes: Sequence[str] = self.ledger.score(list(share.values())) if told is None else told
        return dict(zip(share, map(fate_of, outcomes), strict=True))


def _rows(body: bytes) -> list[Any]:
    try:
        # The standard library's reader, since it takes the NaN that a label may be.
        record = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"body: not JSON: {error}") from error
    rows = record.get("feedback") if isinstance(record, dict) else None
    if not isinstance(rows, list):
        raise BadRequest('feedback: must be a list of {"token": text, "label": number}')
    return rows


def feedback_answer(fates: Sequence[Fate]) -> tuple[int, bytes]:
    """Status and body. 400 when every row is malformed, so that a client that looks at the status alone sees it."""
    outcomes = [fate.outcome for fate in fates]
    accepted = sum(outcome == Outcome.ACCEPTED for outcome in outcomes)
    status = 400 if fates and all(outcome == Outcome.MALFORMED for outcome in outcomes) else 200
    reasons = [fate.reason for fate in fates]
    return status, json.dumps({"accepted": accepted, "results": outcomes, "reasons": reasons}).encode()
