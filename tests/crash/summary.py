"""What a sweep came to, for somebody who sees it for the first time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.crash.cases import Learnt
from tests.crash.faults import Fault
from tests.crash.signatures import Access, is_event
from tests.crash.sweep import Verdict

WIDTH = 60


def summary(learnt: Sequence[Learnt], verdicts: Sequence[Verdict], possible: int) -> list[str]:
    """``possible``: how many cases there are, of which ``verdicts`` may be a part."""
    writes = [one for one in learnt if one.of.access is Access.WRITE]
    events = sum(is_event(one.signature) for one in writes)
    told = sum(one.of.access is Access.EVENT for one in learnt)
    injected = Counter(one.fault for verdict in verdicts for one in verdict.injected)
    asked = {one.of for one in learnt if one.of.access is not Access.EVENT}
    befallen = {one.of for verdict in verdicts for one in verdict.injected}
    killed = sum(verdict.case.is_kill for verdict in verdicts)
    return [
        "One undisturbed life of a model was watched first:",
        _line("requests learnt that change something", len(writes)),
        _line("  of them Kubernetes events", events),
        _line("other requests", len(learnt) - len(writes) - told),
        _line("events of its watches", told),
        f"Then it was lived again, {len(verdicts)} times of {possible} that are possible:",
        _line("cases in which the operator was killed", killed),
        _line("cases with other faults", len(verdicts) - killed),
        _line("different requests of that life", len(asked)),
        _line("  of them without a fault in any case", len(asked - befallen)),
        "What befell the operator:",
        *(_line(f"  {fault}", injected[fault]) for fault in Fault if injected[fault]),
        _line("  it ended by itself and was started again", sum(verdict.deaths for verdict in verdicts)),
        "What came of it:",
        _line("cases silent for a minute at their end", sum(verdict.case.silence > 0 for verdict in verdicts)),
        _line("cases that did not come to their fault", sum(not one.reached for one in verdicts)),
        _line("violations", sum(len(one.violations) for one in verdicts)),
    ]


def _line(what: str, count: int) -> str:
    return f"{what + ' ':.<{WIDTH}} {count}"
