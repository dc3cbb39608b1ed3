"""``python -m modelcycle_runtime.evaluate``: the container ``gate``."""

from __future__ import annotations

import hashlib
import os
import sys
from typing import Any

from modelcycle_runtime.artifacts import ArtifactStore
from modelcycle_runtime.contract import ENV_GATE
from modelcycle_runtime.errors import Failure
from modelcycle_runtime.errors.termination import write_failure, write_record
from modelcycle_runtime.evaluate.evidence import evidence_of
from modelcycle_runtime.evaluate.gate import run_gate
from modelcycle_runtime.evaluate.rules import Verdict
from modelcycle_runtime.evaluate.settings import GateSettings, parse_settings


def main() -> int:
    try:
        settings = parse_settings(os.environ.get(ENV_GATE, ""))
        result = run_gate(settings)
        content = evidence_of(settings, result)
        upload(settings, content)
    except Failure as failure:
        write_failure(failure)
        return failure.exit_code
    write_record(last_words(settings, result.verdict, content))
    return 0


def upload(settings: GateSettings, content: bytes) -> None:
    store = ArtifactStore(settings.tracking_uri)
    store.write(f"{store.run_root(settings.run_id)}/{settings.evidence_path}", content)


def last_words(settings: GateSettings, verdict: Verdict, evidence: bytes) -> dict[str, Any]:
    """The termination message of a verdict."""
    return {
        "outcome": verdict.outcome,
        "reason": verdict.reason,
        "rows": verdict.rows,
        "championLoss": _text(verdict.champion_loss),
        "challengerLoss": _text(verdict.challenger_loss),
        "pValue": _text(verdict.p_value),
        "message": verdict.message,
        "evidence": {"path": settings.evidence_path, "sha256": hashlib.sha256(evidence).hexdigest()},
    }


def _text(number: float | None) -> str | None:
    return None if number is None else f"{number:.6g}"


if __name__ == "__main__":
    sys.exit(main())
