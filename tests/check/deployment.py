"""One ModelDeployment: rollouts, hands on the aliases, pins, and whatever disturbs them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modelcycle import constants as names
from modelcycle.core.plan import Manifest
from tests.check.environment import Happening, ready, version_of
from tests.check.explore import Step
from tests.check.registry import MODEL, Registry, Version
from tests.check.state import VALUES, Left, State, all_of, changed, custom, find, made_so_far
from tests.check.training import condition, with_spec
from tests.check.world import World

KIND = "ModelDeployment"
NAME = "hedge"
SPEC = {"model": {"name": MODEL}, "replicas": 2}
STEPS = ("smoke", "half")
EDITS = ("challenger", "champion", "pin", "pause", "abort", "retry", "delete")


class DeploymentWorld(World):
    """``serving``: version 1 serves from the beginning; otherwise nothing does, and 1 is the challenger.

    ``wishes``: which edits people may make.
    """

    def __init__(self, left: Left, *, serving: bool = True, wishes: tuple[str, ...] = EDITS) -> None:
        super().__init__(left)
        self.serving = serving
        self.wishes = wishes

    def begin(self, state: State) -> State:
        versions = tuple(Version(str(number), f"run{number}") for number in (1, 2, 3))
        alias = "champion" if self.serving else "challenger"
        registry = Registry(versions=versions, aliases=((alias, "1"),))
        state = changed(state, {(KIND, NAME): custom(KIND, NAME, "d1111111", SPEC)})
        state = state._replace(registry=VALUES.number(registry))
        return self.settled(state) if self.serving else state

    def edits(self, state: State) -> Iterator[Happening]:
        raw = find(state, KIND, NAME)
        if raw is None:
            again = custom(KIND, NAME, f"d{made_so_far(state, KIND, NAME) + 1}111111", SPEC, state.time)
            yield Happening("the same ModelDeployment is made again", {(KIND, NAME): again})
            return
        registry: Registry = VALUES[state.registry]
        for alias in ("challenger", "champion"):
            for version in ("1", "2", "3") if alias in self.wishes else ():
                if registry.alias(alias) != version:
                    told = f"somebody points {alias} to version {version}"
                    yield Happening(told, {}, registry=registry.with_alias(alias, version))
        if "challenger" in self.wishes and registry.alias("challenger"):
            yield Happening(
                "somebody takes the alias challenger away", {}, registry=registry.with_alias("challenger", None)
            )
        for told, after in self._changes(raw):
            yield Happening(told, {(KIND, NAME): after})

    def _changes(self, raw: Manifest) -> Iterator[tuple[str, Manifest | None]]:
        if "pin" in self.wishes:
            for version in (None, "1", "2"):
                if raw["spec"]["model"].get("version") != version:
                    pinned = {"name": MODEL} | ({"version": version} if version else {})
                    told = f"somebody pins version {version}" if version else "somebody removes the pin"
                    yield told, with_spec(raw, model=pinned)
        if "pause" in self.wishes:
            paused = not is_paused(raw)
            yield "somebody pauses" if paused else "somebody goes on", with_spec(raw, rollout={"paused": paused})
        if "replicas" in self.wishes:
            replicas = 3 - raw["spec"]["replicas"]
            yield f"somebody wants {replicas} replicas", with_spec(raw, replicas=replicas)
        if "abort" in self.wishes:
            yield "somebody aborts the rollout", annotated(raw, names.ANNOTATION_ABORT, "now")
        if "retry" in self.wishes:
            yield "somebody wants version 2 again", annotated(raw, names.ANNOTATION_RETRY, "2 again")
        if "delete" in self.wishes:
            yield "somebody deletes the ModelDeployment", None

    def invariants(self, before: State, step: Step[State]) -> Iterable[str]:
        return deployment_invariants(before, step, no_accident=step.after.left.accidents == self.left.accidents)

    def at_rest(self, state: State) -> str | None:
        return next((wrong for raw in all_of(state, KIND) if (wrong := deployment_rest(state, raw))), None)


def annotated(raw: Manifest, annotation: str, value: str) -> Manifest:
    annotations = (raw["metadata"].get("annotations") or {}) | {annotation: value}
    return raw | {"metadata": raw["metadata"] | {"annotations": annotations}}


# --- reading -----------------------------------------------------------------------------------------------------
def stable(raw: Manifest) -> str | None:
    return ((raw.get("status") or {}).get("stable") or {}).get("version")


def candidate(raw: Manifest) -> Manifest:
    return (raw.get("status") or {}).get("candidate") or {}


def verdicts(raw: Manifest) -> list[Manifest]:
    return (raw.get("status") or {}).get("verdicts") or []


def is_paused(raw: Manifest) -> bool:
    return bool((raw["spec"].get("rollout") or {}).get("paused"))


def workloads(state: State) -> list[Manifest]:
    return [raw for raw in all_of(state, "Deployment")]


def all_ready(state: State) -> int:
    return sum(ready(workload) for workload in workloads(state))


# --- invariants --------------------------------------------------------------------------------------------------
def deployment_invariants(before: State, step: Step[State], *, no_accident: bool) -> Iterator[str]:
    """Of the one ModelDeployment. ``no_accident``: all pods that were made well are well."""
    after = step.after
    was, raw = find(before, KIND, NAME), find(after, KIND, NAME)
    if raw is None or was is None or was["metadata"]["uid"] != raw["metadata"]["uid"]:
        return
    if step.by_operator and stable(was) and all_ready(before) and not all_ready(after):
        yield "the operator takes the last pods that answer"
    if no_accident and stable(was) and not all_ready(after):
        yield "nothing serves any more, although no pod failed"
    if was is not raw:
        yield from _judged(was, raw)
        yield from _promoted(before, was, raw)
    if step.by_operator and before.registry != after.registry:
        yield from _crowned(VALUES[before.registry], VALUES[after.registry], raw)


def _judged(was: Manifest, raw: Manifest) -> Iterator[str]:
    versions = [verdict["version"] for verdict in verdicts(raw)]
    if len(versions) != len(set(versions)):
        yield f"more than one verdict of a version: {versions}"
    now = {verdict["version"]: verdict for verdict in verdicts(raw)}
    again = (raw["metadata"].get("annotations") or {}).get(names.ANNOTATION_RETRY, "").split(" ")[0]
    for old in verdicts(was):
        new = now.get(old["version"])
        same = new is not None and (new["verdict"], new["reason"], new["time"]) == (
            old["verdict"],
            old["reason"],
            old["time"],
        )
        if not same and old["version"] != again:
            yield f"the verdict {old['verdict']} of version {old['version']} did not stay: {new}"


def _promoted(before: State, was: Manifest, raw: Manifest) -> Iterator[str]:
    version, tried = stable(raw), candidate(was)
    if version is None or version == stable(was):
        return
    if tried.get("version") != version:
        yield f"version {version} serves and was no candidate before"
    elif tried["purpose"] == "Trial" and tried["step"] < len(STEPS) - 1:
        yield f"version {version} is promoted in step {tried['stepName']}, before all steps were passed"
    elif tried["purpose"] == "Bootstrap" and stable(was) is not None:
        yield f"version {version} is promoted by Bootstrap although version {stable(was)} serves"
    elif tried["purpose"] in ("Trial", "Bootstrap") and is_paused(raw):
        yield f"version {version} is promoted although the rollout is paused"
    elif not before.cache and not any(ready(one) for one in workloads(before) if version_of(one) == version):
        yield f"version {version} serves and none of its pods is ready"


def _crowned(before: Registry, after: Registry, raw: Manifest) -> Iterator[str]:
    champion = after.alias("champion")
    if champion == before.alias("champion"):
        return
    owner = f"/{raw['metadata']['name']}/{raw['metadata']['uid']}"
    if not (before.owner or "").endswith(owner):
        yield f"the operator moves the champion alias of a model whose owner is {before.owner}"
    judged = {verdict["version"]: verdict["verdict"] for verdict in verdicts(raw)}
    if champion is None or judged.get(champion) != "Promoted":
        yield f"the operator makes version {champion} champion, whose verdict is {judged.get(champion or '')}"


def deployment_rest(state: State, raw: Manifest) -> str | None:
    """What is wrong with a deployment in which nothing happens any more."""
    registry: Registry = VALUES[state.registry]
    status, pin = raw.get("status") or {}, raw["spec"]["model"].get("version")
    paused = is_paused(raw)
    if status.get("candidate") and not paused:
        return f"it rests with a candidate: {status['candidate']['version']}"
    if status.get("aliasMoves"):
        return f"it rests with alias moves under way: {status['aliasMoves']}"
    if status.get("retiring") and not paused:
        return f"it rests with versions that retire: {status['retiring']}"
    serves = stable(raw)
    wanted = pin or registry.alias("champion")
    if wanted is not None and serves != wanted:
        return f"version {serves} serves at rest, and {wanted} is wanted"
    pods = {version_of(workload): ready(workload) for workload in workloads(state)}
    if not paused and pods != ({serves: raw["spec"]["replicas"]} if serves else {}):
        return f"version {serves} serves at rest, and the pods are {pods}"
    challenger = registry.alias("challenger")
    known = {verdict["version"] for verdict in verdicts(raw)} | {serves}
    if challenger is not None and challenger not in known and pin is None and not paused:
        return f"challenger {challenger} is never tried"
    degraded = condition(raw, "Degraded")
    if degraded.get("status") == "True":
        return f"it rests Degraded/{degraded['reason']}: {degraded['message']}"
    return None
