"""Which lives are lived: one for each kill point, and for each other fault one in which it befalls everything."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from modelcycle.cluster.kinds import CHILDREN, OURS
from tests.crash.faults import KILLS, Fault, Match, Plan, Planned, killed_at
from tests.crash.signatures import Access, Named, is_event, is_repetition, watched

RELIST_SECONDS = 4
RELISTS = MappingProxyType({"--relist-seconds": str(RELIST_SECONDS)})
PATIENCE_SECONDS = 300.0
LONG_PATIENCE_SECONDS = 600.0
CALM_SECONDS = 1.5  # longer than the first pause before a new try
SILENCE_SECONDS = 60.0
WRITES = frozenset({Access.WRITE})
READS = frozenset({Access.READ, Access.LIST})
EVENTS = frozenset({Access.EVENT})
LISTS = frozenset({Access.LIST})
KUBE, OUTSIDE = frozenset({"kube"}), frozenset({"mlflow", "prometheus"})
ANSWERED = tuple(fault for fault in Fault if fault.value.startswith(("answered", "carried out", "delayed")))
"""Faults of a single request that leave the operator alive."""
UNANSWERED_AT_ONCE = 10  # each costs the time limit of a request
SLICE = (
    f"every first write {Fault.GARBAGE}",
    f"every first reading {Fault.LOST}",
    "of each 3 events of a kind the 2. dropped",
)
SHARE_OF_RESTARTS = 10
SHARE = 3  # of a kind's events, one in so many is dropped


@dataclass(frozen=True, slots=True)
class Learnt:
    """A request of the reference life: in which part it came, and how often its signature had come by then."""

    part: int
    of: Named
    occurrence: int

    @property
    def signature(self) -> str:
        return self.of.text


@dataclass(frozen=True, slots=True)
class Case:
    """A life up to and with ``part``. ``throughout``: it is looked at after each part, else at its end only.

    ``flags``: further ones of the operator. ``patience``: seconds that a step may take. ``calm``: so many seconds
    without a write are the end of a part. ``silence``: so many seconds nothing is written at the end.
    """

    name: str
    part: int
    plan: Plan
    throughout: bool = False
    flags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    patience: float = PATIENCE_SECONDS
    calm: float = CALM_SECONDS
    silence: float = 0.0

    @property
    def faults(self) -> frozenset[Fault]:
        return frozenset(planned.fault for planned in self.plan)

    @property
    def is_kill(self) -> bool:
        return self.faults <= KILLS

    @property
    def is_restart(self) -> bool:
        """Whether what befalls the operator when it begins again is the point."""
        return bool(self.faults & KILLS) and not self.is_kill


# --- kills -----------------------------------------------------------------------------------------------------------
def kills(learnt: Sequence[Learnt]) -> list[Case]:
    """Two for each request that changes something, of equal statuses for the first."""
    return [
        Case(told(one, fault), one.part, killed_at(one.signature, one.occurrence, fault))
        for one in learnt
        if one.of.access is Access.WRITE and not is_repetition(one.signature, one.occurrence)
        for fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER)
    ]


def told(one: Learnt, fault: Fault) -> str:
    again = f" (time {one.occurrence})" if one.occurrence > 1 else ""
    return f"{fault} {one.signature}{again}"


def silenced(cases: Sequence[Case]) -> list[Case]:
    """The last case of each part also has to be silent for a minute."""
    last = {case.part: number for number, case in enumerate(cases)}
    return [replace(case, silence=SILENCE_SECONDS) if last[case.part] == n else case for n, case in enumerate(cases)]


# --- faults that nobody dies of --------------------------------------------------------------------------------------
def lives(learnt: Sequence[Learnt], last: int) -> list[Case]:
    """Whole lives (to the part ``last``), in each of which one fault befalls the first request of every signature."""
    answered = [
        _life(f"every first {what} {fault}", last, Planned(Match(access), fault))
        for what, access in (("write", WRITES), ("reading", READS))
        for fault in ANSWERED
        if fault is not Fault.SILENT
    ]
    return [*answered, *_unanswered(learnt, last), *_watches(last), *_stale(learnt, last)]


def _life(name: str, last: int, *plan: Planned) -> Case:
    return Case(name, last, plan, throughout=True, patience=LONG_PATIENCE_SECONDS)


def _relisting(life: Case) -> Case:
    """By an operator that lists everything every few seconds: what else would repair it takes minutes."""
    return replace(life, flags=RELISTS, calm=1.5 * RELIST_SECONDS)


def _unanswered(learnt: Sequence[Learnt], last: int) -> list[Case]:
    """In portions, since nothing but time ends them."""
    found: list[Case] = []
    for what, access in (("write", WRITES), ("reading", READS)):
        texts = list(dict.fromkeys(one.signature for one in learnt if one.of.access in access))
        count = -(-len(texts) // UNANSWERED_AT_ONCE)
        found += [
            _life(
                f"every first {what} {Fault.SILENT} ({number + 1}/{count})",
                last,
                Planned(Match(access, texts=frozenset(texts[number::count])), Fault.SILENT),
            )
            for number in range(count)
        ]
    return found


def _watches(last: int) -> list[Case]:
    dropped = [
        _relisting(
            _life(
                f"of each {SHARE} events of a kind the {number}. dropped",
                last,
                Planned(Match(EVENTS), Fault.DROPPED, nth=number, every=SHARE),
            )
        )
        for number in range(1, SHARE + 1)
    ]
    twice = _life("every event told twice", last, Planned(Match(EVENTS), Fault.DUPLICATED, every=1))
    # Over as soon as kopf takes the watch for dead, which is after 70 s.
    frozen = [
        _life(
            f"the watch of {kind.plural} frozen",
            last,
            Planned(Match(EVENTS, texts=frozenset({watched(kind.plural).text})), Fault.FROZEN, nth=2),
        )
        for kind in (*OURS, *CHILDREN)
    ]
    return [*dropped, twice, *frozen]


def _stale(learnt: Sequence[Learnt], last: int) -> list[Case]:
    """Lists that are out of date: every second relist, and all with which a new operator begins."""
    relists = _life("every second list out of date", last, Planned(Match(LISTS), Fault.STALE, nth=4, every=2))
    begins = Planned(Match(LISTS), Fault.STALE, nth=2, every=1)
    restarts = [
        replace(case, name=f"{case.name}, and begins with lists that are out of date", plan=(*case.plan, begins))
        for case in kills(learnt)
        if case.faults == {Fault.KILL_AFTER}
    ]
    return [_relisting(relists), *restarts[::SHARE_OF_RESTARTS]]


# --- which, and in which order ---------------------------------------------------------------------------------------
def everything(learnt: Sequence[Learnt], last: int) -> list[Case]:
    return ordered([*lives(learnt, last), *silenced(kills(learnt))])


def slice_of(learnt: Sequence[Learnt], last: int) -> list[Case]:
    """Every kill point of the training part and every third of the others, events left out; and some of the lives."""
    killed = kills(learnt)
    kept = [case for case in killed if case.part == 0] + [case for case in killed if case.part > 0][::3]
    quick = [case for case in lives(learnt, last) if case.name in SLICE]
    stale = [case for case in lives(learnt, last) if case.is_restart][-1:]
    return ordered([*quick, *stale, *(case for case in kept if not any(map(is_event, _texts(case))))])


def ordered(cases: Sequence[Case]) -> list[Case]:
    """The longest first, so that none of them is still under way when the others have ended."""
    return sorted(cases, key=lambda case: (not case.throughout, -case.part, -case.silence))


def _texts(case: Case) -> Iterable[str]:
    return (text for planned in case.plan for text in planned.match.texts or ())
