"""One ModelTraining, and people who suspend it, extend its deadline, delete it and make it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from modelcycle import constants as names
from modelcycle.core.plan import Manifest
from tests.check.environment import Happening, is_live
from tests.check.explore import Step
from tests.check.registry import MODEL, Registry
from tests.check.state import VALUES, Left, State, all_of, changed, custom, find, made_so_far
from tests.check.world import World

NAME = "hedge"
KIND = "ModelTraining"
SPEC = {
    "image": "train:1",
    "register": {"model": MODEL},
    "retries": {"userErrors": 1, "infrastructure": 1, "disruptions": 1},
    "ttlSecondsAfterFinished": 600,
    "pendingDeadlineSeconds": 600,
    "deadlineSeconds": 36000,
}
EDITS = ("suspend", "delete", "extend")
MOST_ATTEMPTS = 3
"""The first, one on the user's budget, one on that of the infrastructure."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the invariants read of a ModelTraining's status."""

    uid: str
    ended: str | None
    reason: str
    run: str | None
    version: str | None
    attempts: int
    failed: int
    suspended: bool

    @classmethod
    def of(cls, raw: Manifest) -> Status:
        status = raw.get("status") or {}
        succeeded = condition(raw, "Succeeded")
        state = succeeded.get("status", "Unknown")
        return cls(
            uid=raw["metadata"]["uid"],
            ended=None if state == "Unknown" else state,
            reason=succeeded.get("reason", ""),
            run=(status.get("run") or {}).get("id"),
            version=(status.get("registered") or {}).get("version"),
            attempts=max((attempt["number"] for attempt in status.get("attempts", ())), default=0),
            failed=sum(attempt["state"] == "Failed" for attempt in status.get("attempts", ())),
            suspended=bool(raw["spec"].get("suspend")),
        )


def condition(raw: Manifest, type_: str) -> Manifest:
    found = (one for one in (raw.get("status") or {}).get("conditions", ()) if one["type"] == type_)
    return next(found, {})


class TrainingWorld(World):
    """``wishes``: which edits people may make.

    ``hasty``: they make a deleted training again before the operator has heard of the deletion, and before what it had
    under way in MLflow is done.
    """

    def __init__(self, left: Left, *, wishes: tuple[str, ...] = EDITS, hasty: bool = False, rush: bool = False) -> None:
        super().__init__(left, rush=rush)
        self.wishes = wishes
        self.hasty = hasty

    def begin(self, state: State) -> State:
        return changed(state, {(KIND, NAME): custom(KIND, NAME, "a1111111", SPEC)})

    def edits(self, state: State) -> Iterator[Happening]:
        raw = find(state, KIND, NAME)
        if raw is None:
            life = made_so_far(state, KIND, NAME) + 1
            if not self.hasty and (state.batches or "ModelTraining" in state.lagging):
                return
            again = custom(KIND, NAME, f"a{life}111111", SPEC, state.time)
            yield Happening("the same ModelTraining is made again", {(KIND, NAME): again})
            return
        if "suspend" in self.wishes:
            suspended = not raw["spec"].get("suspend")
            told = "somebody suspends the training" if suspended else "somebody lets the training go on"
            yield Happening(told, {(KIND, NAME): with_spec(raw, suspend=suspended)})
        if "extend" in self.wishes:
            longer = raw["spec"]["deadlineSeconds"] + 600
            yield Happening("somebody extends its deadline", {(KIND, NAME): with_spec(raw, deadlineSeconds=longer)})
        if "delete" in self.wishes:
            yield Happening("somebody deletes the ModelTraining", {(KIND, NAME): None})

    def invariants(self, before: State, step: Step[State]) -> Iterator[str]:
        yield from training_invariants(before, step, no_accident=step.after.left.accidents == self.left.accidents)
        if step.after.registry != before.registry:
            yield from _once(VALUES[step.after.registry])
        if step.after.store != before.store and not self.hasty:
            yield from _trained_again(before, step.after)

    def at_rest(self, state: State) -> str | None:
        return next((wrong for raw in all_of(state, KIND) if (wrong := training_rest(state, raw))), None)


def with_spec(raw: Manifest, **spec: object) -> Manifest:
    """``raw`` after somebody changed fields of its spec."""
    metadata = raw["metadata"] | {"generation": raw["metadata"]["generation"] + 1}
    return raw | {"metadata": metadata, "spec": {k: v for k, v in (raw["spec"] | spec).items() if v is not None}}


# --- invariants --------------------------------------------------------------------------------------------------
def training_invariants(before: State, step: Step[State], *, no_accident: bool) -> Iterator[str]:
    """Of each ModelTraining there is. ``no_accident``: nothing failed so far that could fail an attempt."""
    after = step.after
    if after.store != before.store:
        yield from _jobs(before, step)
        for raw in all_of(after, KIND):
            yield from _terminal(before, after, raw)
            yield from _suspended(after, raw)
            if no_accident and (failed := Status.of(raw).failed):
                yield f"{failed} attempts of {raw['metadata']['name']} failed without anything that failed"
    if after.registry != before.registry:
        yield from _registered(VALUES[after.registry])


def _jobs(before: State, step: Step[State]) -> Iterator[str]:
    after = step.after
    by_owner: dict[str, list[str]] = {}
    for job in training_jobs(after):
        owner = job["metadata"]["labels"][names.LABEL_OWNER_UID]
        by_owner.setdefault(owner, []).append(job["metadata"]["name"])
        if int(job["metadata"]["labels"][names.LABEL_ATTEMPT]) > MOST_ATTEMPTS:
            yield f"budget: {job['metadata']['name']} is more than its retries allow"
    live = {job["metadata"]["name"] for job in training_jobs(after) if is_live(job)}
    for owner, found in by_owner.items():
        alive = sorted(live & set(found))
        if len(alive) > 1:
            yield f"two Jobs of one training are live: {', '.join(alive)}"
        if not step.by_operator:
            continue
        have = {job["metadata"]["name"] for job in training_jobs(before)}
        new = set(found) - have
        ended = [raw for raw in all_of(before, KIND) if raw["metadata"]["uid"] == owner and Status.of(raw).ended]
        if new and ended:
            yield f"Job {', '.join(sorted(new))} is made for a training that has ended"


def training_jobs(state: State) -> list[Manifest]:
    return [job for job in all_of(state, "Job") if job["metadata"]["labels"].get(names.LABEL_COMPONENT) == "training"]


def _terminal(before: State, after: State, raw: Manifest) -> Iterator[str]:
    was = find(before, KIND, raw["metadata"]["name"])
    if was is None or was is raw:
        return
    old, new = Status.of(was), Status.of(raw)
    if old.uid != new.uid:
        return
    if old.ended and (old.ended, old.reason, old.version) != (new.ended, new.reason, new.version):
        yield f"terminal stays terminal: {old.ended}/{old.reason} became {new.ended}/{new.reason}"
    if old.run and old.run != new.run:
        yield f"the training has another run: {old.run} became {new.run}"


def _suspended(after: State, raw: Manifest) -> Iterator[str]:
    """The Job goes first: whoever reads that it is suspended can rely on it."""
    said = condition(raw, "Suspended").get("status") == "True" and Status.of(raw).suspended
    if not said or KIND in after.lagging:  # an operator that has not seen the latest edit may be of two minds
        return
    uid = raw["metadata"]["uid"]
    mine = [job for job in training_jobs(after) if job["metadata"]["labels"][names.LABEL_OWNER_UID] == uid]
    if live := [job["metadata"]["name"] for job in mine if is_live(job)]:
        yield f"it says that it is suspended, and Job {', '.join(live)} runs"


def _registered(registry: Registry) -> Iterator[str]:
    uids = [run.uid for run in registry.runs]
    if len(uids) != len(set(uids)):
        yield f"two MLflow runs for one training: {uids}"
    runs = [version.run for version in registry.versions if version.key is not None]
    if len(runs) != len(set(runs)):
        yield f"two versions for one run: {runs}"


def _once(registry: Registry) -> Iterator[str]:
    keys = [version.key for version in registry.versions if version.key is not None]
    if len(keys) != len(set(keys)):
        yield "once means once: two versions of one key"


def _trained_again(before: State, after: State) -> Iterator[str]:
    """Pods are dear: what is registered is not trained once more only to find that out at its end."""
    registry: Registry = VALUES[before.registry]
    trained = {version.run: version.key for version in registry.versions if version.key is not None}
    in_vain = {run.uid for run in registry.runs if run.key in trained.values() and run.id not in trained}
    have = {job["metadata"]["name"] for job in training_jobs(before)}
    for job in training_jobs(after):
        name = job["metadata"]["name"]
        if name not in have and job["metadata"]["labels"][names.LABEL_OWNER_UID] in in_vain:
            yield f"once means once: {name} trains again what is registered"


def training_rest(state: State, raw: Manifest) -> str | None:
    """What is wrong with a training in which nothing happens any more."""
    status = Status.of(raw)
    registry: Registry = VALUES[state.registry]
    jobs = [j for j in training_jobs(state) if j["metadata"]["labels"][names.LABEL_OWNER_UID] == status.uid]
    if status.ended is None:
        return None if status.suspended else f"the training rests before its end: {status.reason}"
    if jobs:
        return f"Jobs are left after the time to live: {[job['metadata']['name'] for job in jobs]}"
    run = next((run for run in registry.runs if run.uid == status.uid), None)
    if run is not None and run.status is None:
        return f"the training has ended and its run {run.id} has not"
    if status.ended == "True" and not any(version.number == status.version for version in registry.versions):
        return f"the training succeeded and version {status.version} is not registered"
    return None
