"""Whatever is observed, and whatever happened before: a plan, and what must hold at any time."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelcycle import constants as names
from modelcycle.api.v1alpha1.deployment import (
    AliasMove,
    Candidate,
    DeploymentStatus,
    Purpose,
    RetiringVersion,
    ServedVersion,
    Verdict,
    VerdictRecord,
)
from modelcycle.core.plan import Fact
from modelcycle.deployment.decide import decide
from modelcycle.registry.port import MoveAlias
from tests.unit.deployment.outside import OWNER, START, Live, crashed, pulling
from tests.unit.deployment.world import World

VERSIONS = st.sampled_from(["1", "2", "3", "4"])
TIMES = st.integers(-3600, 60).map(lambda seconds: START + timedelta(seconds=seconds))
CONTAINERS = st.sampled_from(
    [crashed("SmokeFailed", "x"), crashed("Unavailable", "x", init=True), crashed("Odd", "x", restarts=9), pulling()]
)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


SERVED = st.builds(ServedVersion, version=VERSIONS, since=maybe(TIMES), image=st.just("serving:1"))
CANDIDATE = st.builds(
    Candidate,
    version=VERSIONS,
    purpose=st.sampled_from(Purpose),
    step=st.integers(0, 10),
    step_name=st.sampled_from(["smoke", "half", "gone"]),
    step_since=maybe(TIMES),
    since=maybe(TIMES),
)
STATUS = st.builds(
    DeploymentStatus,
    stable=maybe(SERVED),
    candidate=maybe(CANDIDATE),
    previous=maybe(SERVED),
    retiring=st.lists(st.builds(RetiringVersion, version=VERSIONS, since=TIMES), max_size=4).map(tuple),
    alias_moves=st.lists(
        st.builds(
            AliasMove,
            alias=st.sampled_from(["champion", "challenger"]),
            to=maybe(VERSIONS),
            expect=maybe(VERSIONS),
            reason=st.just("Test"),
            since=TIMES,
        ),
        max_size=2,
        unique_by=lambda move: move.alias,
    ).map(tuple),
    verdicts=st.lists(
        st.builds(
            VerdictRecord, version=VERSIONS, verdict=st.sampled_from(Verdict), reason=st.just("Test"), time=TIMES
        ),
        max_size=4,
        unique_by=lambda record: record.version,
    ).map(tuple),
    owner=st.booleans(),
)
SPECS = st.fixed_dictionaries(
    {"replicas": st.integers(1, 5)},
    optional={
        "mlflow": st.sampled_from(["default", "unknown"]),
        "prometheus": st.sampled_from(["default", "unknown"]),
        "rollout": st.fixed_dictionaries(
            {},
            optional={
                "paused": st.booleans(),
                "approval": st.sampled_from(["None", "Required"]),
                "steps": st.sampled_from(
                    [
                        [],
                        [{"name": "half", "replicas": {"percent": 50}}],
                        [{"name": "smoke", "smoke": {}}, {"name": "all", "replicas": {"percent": 100}}],
                    ]
                ),
            },
        ),
    },
)
MODELS = st.fixed_dictionaries({}, optional={"follow": st.booleans()}) | st.fixed_dictionaries({"version": VERSIONS})
ALIASES = st.fixed_dictionaries({}, optional={"champion": VERSIONS, "challenger": VERSIONS})
OWNERS = st.sampled_from([OWNER, None, "c1/quant/hedge/earlier", "c1/quant/other/1"])
ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={
        names.ANNOTATION_ABORT: st.text(max_size=300),
        names.ANNOTATION_APPROVE: st.text(max_size=300),
        names.ANNOTATION_RETRY: VERSIONS | st.text(max_size=300),
    },
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_there_is_a_plan_for_whatever_is_observed(data: st.DataObject) -> None:
    world = World(model=data.draw(MODELS), **data.draw(SPECS))
    world.annotations = data.draw(ANNOTATIONS)
    world.registry.aliases, world.registry.owner = data.draw(ALIASES), data.draw(OWNERS)
    world.registry.exists, world.registry.up = data.draw(st.booleans()), data.draw(st.booleans())
    world.broken = data.draw(st.dictionaries(VERSIONS, CONTAINERS, max_size=2))
    world.live = {version: Live(requests=data.draw(st.integers(0, 300))) for version in ("1", "2")}
    for _ in range(data.draw(st.integers(0, 2))):
        world.tick()
    world.status = data.draw(STATUS)
    if data.draw(st.booleans()):
        world.facts = {request: Fact(None, error="never answered") for request in world.facts}
    plan = decide(world.observed(), world.now)
    assert plan == decide(world.observed(), world.now)
    assert DeploymentStatus.model_validate(json.loads(json.dumps(plan.status.manifest()))) == plan.status
    types = {condition.type for condition in plan.status.conditions}
    assert types == {"Ready", "Progressing", "Degraded", "Stalled"}
    assert plan.status.summary


class Happenings:
    """What can happen to a deployment. Each is drawn with its arguments from ``data``."""

    def __init__(self, world: World, data: st.DataObject) -> None:
        self.world = world
        self.draw = data.draw
        self.moved_by_hand = False
        self.number = 0

    def any(self) -> None:
        getattr(self, "_" + self.draw(st.sampled_from(NAMES)))()

    def _time(self) -> None:
        for _ in range(self.draw(st.integers(1, 6))):
            self.world.tick(seconds=self.draw(st.sampled_from([1, 5, 5, 5, 130, 4000])))

    def _passes(self) -> None:
        """The key comes back without any news, as it does after each status write."""
        for _ in range(self.draw(st.integers(1, 4))):
            self.world.now += timedelta(seconds=1)
            self.world.step()

    def _kill(self) -> None:
        self.world.tick(requests=self.draw(st.integers(0, 12)))

    def _challenger(self) -> None:
        self.world.challenge(self.draw(VERSIONS))

    def _champion(self) -> None:
        self.world.registry.aliases["champion"] = self.draw(VERSIONS)

    def _unalias(self) -> None:
        self.world.registry.aliases.pop(self.draw(st.sampled_from(["champion", "challenger"])), None)

    def _break(self) -> None:
        self.world.broken = {self.draw(VERSIONS): self.draw(CONTAINERS)}

    def _repair(self) -> None:
        self.world.broken = {}

    def _registry(self) -> None:
        self.world.registry.up = not self.world.registry.up

    def _prometheus(self) -> None:
        self.world.prometheus_up = not self.world.prometheus_up

    def _traffic(self) -> None:
        for version in ("1", "2", "3", "4"):
            requests = self.draw(st.integers(0, 300))
            self.world.live[version] = Live(requests, self.draw(st.sampled_from([0, 0, requests // 2])))

    def _pin(self) -> None:
        version = self.draw(maybe(VERSIONS))
        self.world.document["model"] = {"name": "quant.hedge"} | ({"version": version} if version else {})

    def _spec(self) -> None:
        self.world.document |= self.draw(SPECS) | {"mlflow": "default", "prometheus": "default"}

    def _wish(self) -> None:
        self.number += 1
        version = self.draw(VERSIONS)
        annotation = self.draw(
            st.sampled_from([names.ANNOTATION_ABORT, names.ANNOTATION_APPROVE, names.ANNOTATION_RETRY])
        )
        self.world.annotations[annotation] = f"{version} {self.number}"
        if annotation == names.ANNOTATION_RETRY:
            self.world.retried.add(version)


NAMES = [name[1:] for name in vars(Happenings) if name.startswith("_") and not name.startswith("__")]


def heal(world: World) -> None:
    """Everything works again and nothing is wished for: from here on it must come to rest."""
    world.registry.up = world.prometheus_up = True
    world.broken, world.live = {}, {version: Live(requests=300) for version in ("1", "2", "3", "4")}
    world.document = {"model": {"name": "quant.hedge"}, "replicas": 3}


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_any_history_comes_to_rest_in_order(data: st.DataObject) -> None:
    """The invariants are checked by the world in every pass; here is how it ends."""
    world = World()
    happenings = Happenings(world, data)
    for _ in range(data.draw(st.integers(1, 12))):
        happenings.any()
    heal(world)
    world.settle(ticks=60)
    writes, aliases = world.writes, dict(world.registry.aliases)
    plan = world.settle(ticks=5)
    assert (world.writes, plan.effects, plan.delete, plan.events) == (writes, (), (), ()), "it rests"
    assert world.registry.aliases == aliases
    assert world.candidate is None
    assert world.status.alias_moves == ()
    assert world.stable == world.registry.aliases.get("champion", world.stable)
    assert world.pods == ({world.stable: 3} if world.stable else {})
    assert world.condition("Degraded") == "False/AsExpected"


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(cuts=st.lists(st.integers(0, 14), min_size=1, max_size=30))
def test_killed_after_any_request_a_rollout_ends_all_the_same(cuts: list[int]) -> None:
    """A pass that is cut short anywhere, with everything that the operator had in memory gone, is done again."""
    world = World()
    world.challenge("1")
    world.settle()
    world.challenge("2")
    world.answered()
    world.live = {"1": Live(requests=300), "2": Live(requests=300)}
    for cut in cuts:
        world.tick()
        world.tick(requests=cut)
    world.settle(ticks=40)
    assert (world.stable, world.verdict("1"), world.verdict("2")) == ("2", "Promoted/Bootstrap", "Promoted/StepsPassed")
    assert world.registry.aliases == {"champion": "2"}
    assert [(m.alias, m.to) for m in world.registry.moves if m.alias == "champion"] == [
        ("champion", "1"),
        ("champion", "2"),
    ]
    assert all(isinstance(move, MoveAlias) for move in world.registry.moves)
    assert [world.told(reason) for reason in ("Promoted", "RolloutStarted")] == [2, 2]
    assert world.pods == {"2": 2}
