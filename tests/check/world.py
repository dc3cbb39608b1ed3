"""The modelled world: which steps lead from a state to the next, whoever takes them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations

from modelcycle.core.plan import FactRequest
from modelcycle.deployment.domain import DOMAIN as DEPLOYMENT
from modelcycle.errors import ModelcycleError, Retryable, Unusable
from modelcycle.metricstore.port import MetricQuery
from modelcycle.registry.port import ModelFact
from modelcycle.retrain.domain import DOMAIN as POLICY
from modelcycle.runtime.ports import Domain, Key
from modelcycle.training.domain import DOMAIN as TRAINING
from tests.check.environment import Happening, garbage, happenings
from tests.check.explore import Step
from tests.check.passes import Passed, Passes, Written
from tests.check.registry import Registry, carry_out
from tests.check.state import (
    ABSENT,
    OBJECTS,
    SLOTS,
    VALUES,
    Batch,
    Known,
    Left,
    Noted,
    State,
    changed,
    find,
    keys,
    moment,
)
from tests.unit.deployment.outside import SETTINGS, Live, metrics

DOMAINS: Mapping[str, Domain] = {domain.kind: domain for domain in (TRAINING, DEPLOYMENT, POLICY)}
LIVE = {str(version): Live(requests=300) for version in range(1, 10)}
REGISTRY_AWAY = "MLflow does not answer"
Steps = Iterator[Step[State]]


class World:
    """``left``: what may disturb it. Each model adds what is there, what people do, invariants, what rest means.

    ``rush``: many others came at the same time.
    """

    happenings = staticmethod(happenings)
    carry_out = staticmethod(carry_out)

    def __init__(self, left: Left, *, rush: bool = False) -> None:
        self.left = left
        self.passes = Passes(DOMAINS, SETTINGS, rush=rush)

    # --- to be defined by each model ----------------------------------------------------------------------------------
    def begin(self, state: State) -> State:
        """The state with what is there from the beginning."""
        raise NotImplementedError

    def edits(self, state: State) -> Iterable[Happening]:
        """What people may do; each costs one of ``left.edits``."""
        return ()

    def invariants(self, before: State, step: Step[State]) -> Iterable[str]:
        """What a step violates."""
        return ()

    def at_rest(self, state: State) -> str | None:
        return None

    # --- the model ----------------------------------------------------------------------------------------------------
    def initial(self) -> State:
        return self.begin(State(self.left, VALUES.number(Registry())))

    def settled(self, state: State) -> State:
        """What becomes of ``state`` in a quiet world before time goes on."""
        while True:
            step = next((one for one in self._ordinary(state) if one.after != state), None)
            if step is None:
                return state
            state = step.after

    def essence(self, state: State) -> Hashable:
        return state.store, state.registry

    def quiet(self, state: State) -> State:
        """Nothing disturbs any more; what already did stays as it is."""
        return state._replace(left=Left())

    def broken(self, before: State, step: Step[State]) -> str | None:
        return next(iter(self.invariants(before, step)), None)

    def steps(self, state: State) -> Steps:
        yield from self._ordinary(state)
        yield from self._disturbances(state)
        if state.left.edits:
            edited = state._replace(left=state.left._replace(edits=state.left.edits - 1))
            for one in self.edits(state):
                yield Step(one.told, _happened(edited, one))
                yield from _unseen(edited, one)
        if state.left.ticks:
            yield self._tick(state._replace(left=state.left._replace(ticks=state.left.ticks - 1)))

    def calm(self, state: State) -> Steps:
        yield from self._ordinary(state)
        yield self._tick(state)

    def _ordinary(self, state: State) -> Steps:
        if state.away:
            yield Step("MLflow answers again", state._replace(away=False))
        for kind in state.lagging:
            yield Step(f"the watch of {kind}s catches up", _caught_up(state, kind))
        for batch in state.batches:
            yield self._effect(state, batch)
        for key in keys(state):
            passed = self.passes(state, key)
            # A namesake's first passes fail until the garbage collector has taken what the former life left, and the
            # operator has seen that.
            wrong = None if state.cache or any(garbage(state)) else passed.error
            yield Step(passed.told, _passed(state, key, passed), True, wrong=wrong)
        yield Step("MLflow and Prometheus are asked for facts", self._polled(state))
        for one in self.happenings(state):
            if not one.accident:
                yield Step(one.told, _happened(state, one))

    # --- disturbances -------------------------------------------------------------------------------------------------
    def _disturbances(self, state: State) -> Steps:
        left = state.left
        if left.crashes:
            yield from self._crashes(state._replace(left=left._replace(crashes=left.crashes - 1)))
        if left.losses:
            yield from self._losses(state._replace(left=left._replace(losses=left.losses - 1)))
        if left.outages and not state.away:
            yield Step("MLflow goes away", state._replace(away=True, left=left._replace(outages=left.outages - 1)))
        for one in self.happenings(state):
            if one.accident and not left.accidents:
                continue
            hit = state._replace(left=left._replace(accidents=left.accidents - one.accident))
            if one.accident:
                yield Step(one.told, _happened(hit, one))
            yield from _unseen(hit, one)

    def _crashes(self, state: State) -> Steps:
        yield Step("the operator is killed and starts anew", _restarted(state))
        yield from _takeovers(_restarted(state))
        for key in keys(state):
            passed = self.passes(state, key)
            for number, written in enumerate(passed.writes[:-1], 1):
                told = f"{passed.told}; killed after request {number} of {len(passed.writes)} ({written.told})"
                yield Step(told, _restarted(passed.leaves(state, written.changes)), True)
        for batch in state.batches:
            effect = type(VALUES[batch.effects[0]]).__name__
            told = f"MLflow carries {effect} out; the operator is killed before the answer"
            yield Step(told, _restarted(self._effect(state, batch).after), True)

    def _losses(self, state: State) -> Steps:
        for key in keys(state):
            passed = self.passes(state, key)
            for number, written in enumerate(passed.writes, 1):
                told = f"{passed.told}; the answer to request {number} ({written.told}) is lost"
                yield Step(told, _unanswered(state, key, passed, written), True)
        for batch in state.batches:
            if not state.away:
                yield self._effect(state, batch, is_lost=True)

    # --- effects and facts --------------------------------------------------------------------------------------------
    def _effect(self, state: State, batch: Batch, *, is_lost: bool = False) -> Step[State]:
        effect = VALUES[batch.effects[0]]
        name, registry = type(effect).__name__, VALUES[state.registry]
        answer: tuple[object, str | None, str | None, bool]
        if state.away:
            answer, told = (None, REGISTRY_AWAY, "Unavailable", True), f"MLflow does not answer to {name}"
        else:
            try:
                registry, value = self.carry_out(registry, effect)
                answer, told = (value, None, None, False), f"MLflow carries {name} out"
            except ModelcycleError as error:
                kind = error.reason if isinstance(error, Unusable) else type(error).__name__
                answer, told = (None, str(error), kind, isinstance(error, Retryable)), f"MLflow refuses {name}"
            if is_lost:
                answer, told = (None, REGISTRY_AWAY, "Unavailable", True), f"{told}; the answer is lost"
        rest = batch._replace(effects=batch.effects[1:])
        batches = tuple(rest if one == batch else one for one in state.batches if one != batch or rest.effects)
        after = state._replace(batches=batches, registry=VALUES.number(registry))
        return Step(told, _noted(after, batch, answer), True)

    def _polled(self, state: State) -> State:
        facts = tuple(self._read(state, known) for known in state.facts)
        if state.away:
            return state._replace(facts=facts)
        return state._replace(facts=facts, book=tuple(sorted(map(_overtaken, state.book))))

    def _read(self, state: State, known: Known) -> Known:
        request: FactRequest = VALUES[known.request]
        if isinstance(request, ModelFact):
            if state.away:
                return known._replace(error=VALUES.number(REGISTRY_AWAY))
            value: object = VALUES[state.registry].reading()
        elif isinstance(request, MetricQuery):
            value = metrics(request, LIVE, moment(state.time))
        else:
            raise NotImplementedError(type(request).__name__)
        return known._replace(time=state.time, value=VALUES.number(value), error=ABSENT)

    def _tick(self, state: State) -> Step[State]:
        """Long enough for everything that is due, and for what could not be read to be given up."""
        given_up = tuple(
            known._replace(time=ABSENT, value=ABSENT) if state.away and known.error != ABSENT else known
            for known in state.facts
        )
        after = self._polled(state._replace(time=state.time + 1, facts=given_up))
        return Step("time passes", after, tick=True)


def _passed(state: State, key: Key, passed: Passed) -> State:
    batches = state.batches if passed.batch is None else tuple(sorted((*state.batches, passed.batch)))
    facts = state.facts
    if passed.facts is not None:
        facts = tuple(sorted((*(known for known in facts if known.key != key), *passed.facts)))
    after = passed.leaves(state._replace(batches=batches, facts=facts), passed.changes)
    if not after.book:
        return after
    alive = {OBJECTS[number]["metadata"]["uid"] for _, number in (*after.store, *after.cache) if number != ABSENT}
    return after._replace(book=tuple(noted for noted in after.book if noted.uid in alive))


def _unanswered(state: State, key: Key, passed: Passed, written: Written) -> State:
    """A request was carried out, the pass ends without its answer, and the watch has not told of it yet."""
    lagging = tuple(sorted({*state.lagging, written.kind}))
    return _passed(state._replace(lagging=lagging), key, replace(passed, changes=written.changes, batch=written.batch))


def _restarted(state: State) -> State:
    """A new process: nothing in memory, and the cache as the server has it."""
    return state._replace(cache=(), lagging=(), book=(), batches=(), facts=())


def _takeovers(state: State) -> Steps:
    """A standby takes over instead, whose watch of a kind has not told it anything of late."""
    if not state.left.delays:
        return
    late = state._replace(left=state.left._replace(delays=state.left.delays - 1))
    for kind in ("Job", "Pod", "Deployment"):
        unseen = tuple((slot, ABSENT) for slot, _ in state.store if SLOTS[slot][0] == kind)
        if unseen:
            told = f"the operator is killed; a standby takes over that has not seen the {kind}s yet"
            yield Step(told, late._replace(cache=unseen, lagging=(kind,)))


def _caught_up(state: State, kind: str) -> State:
    return state._replace(
        cache=tuple((slot, number) for slot, number in state.cache if SLOTS[slot][0] != kind),
        lagging=tuple(one for one in state.lagging if one != kind),
    )


def _happened(state: State, one: Happening, delayed: tuple[str, ...] = ()) -> State:
    after = changed(state, one.objects, delayed)
    if one.logged is not None:
        after = after._replace(registry=VALUES.number(VALUES[after.registry].logged(one.logged)))
    if one.registry is not None:
        after = after._replace(registry=VALUES.number(one.registry))
    return after if one.ghost is None else after._replace(ghosts=(*after.ghosts, one.ghost))


def _unseen(state: State, one: Happening) -> Steps:
    """The same, but the operator's watch begins to lag."""
    if not state.left.delays:
        return
    late = state._replace(left=state.left._replace(delays=state.left.delays - 1))
    for kinds in _delayable(late, one):
        yield Step(f"{one.told}, unseen: the watch of {'s and '.join(kinds)}s lags", _happened(late, one, kinds))


def _delayable(state: State, one: Happening) -> list[tuple[str, ...]]:
    """The kinds of which a happening may stay unseen: each by itself, and all of them."""
    store = dict(state.store)
    touched = {
        kind
        for (kind, name), raw in one.objects.items()
        if store.get(SLOTS.number((kind, name)), ABSENT) != (OBJECTS.number(raw) if raw is not None else ABSENT)
    }
    kinds = sorted(touched - set(state.lagging))
    return [chosen for count in range(1, len(kinds) + 1) for chosen in combinations(kinds, count)]


def _noted(state: State, batch: Batch, answer: tuple[object, str | None, str | None, bool]) -> State:
    resource = find(state, batch.key.kind, batch.key.name)
    if resource is None or resource["metadata"]["uid"] != batch.uid:
        return state  # nobody is there any more who asked
    late = any(known.key == batch.key for known in state.facts)
    noted = Noted(batch.uid, batch.effects[0], state.time, late, VALUES.number(answer))
    noted = noted if late else _overtaken(noted)
    others = (one for one in state.book if (one.uid, one.effect) != (noted.uid, noted.effect))
    return state._replace(book=tuple(sorted((*others, noted))))


def _overtaken(noted: Noted) -> Noted:
    """An answer that is older than the latest reading; how old matters for failures only, which are tried again."""
    is_failure = VALUES[noted.answer][1] is not None
    return noted._replace(late=False, time=noted.time if is_failure else 0)
