"""What is compared: the state that a case ends in, and how often each thing that matters ever happened."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modelcycle import constants as names
from modelcycle.cluster.kinds import EVENT, OURS
from tests.crash.faults import LOSSES, Fault
from tests.crash.life import Life
from tests.crash.proxy import Ledger
from tests.crash.registry import is_duplicate, tags
from tests.crash.signatures import plain
from tests.support.lab.kube import Manifest

Picture = dict[str, Any]
ALIAS = "registered-models/alias"
# Reasons of events whose number a part leaves open: all is deleted at once there, and a policy may see its deployment
# go before itself.
LEFT_OPEN = {"remove": frozenset({"DeploymentMissing"})}
# Events that a fault may add, in any number, and nothing else may.
ADDED_BY: tuple[tuple[str, frozenset[Fault]], ...] = (
    # A training says so at once when a call of its own fails; it has at most a few, and its user waits for it.
    ("Warning RegistryUnavailable of ModelTraining/", frozenset(LOSSES)),
)
# After these kopf gives up a list, by which the operator ends: whoever runs it starts it again, and nothing is lost.
MAY_END = frozenset({Fault.CONFLICT, Fault.GONE, Fault.GARBAGE, Fault.TRUNCATED})


async def picture(life: Life, ledger: Ledger, part: str) -> Picture:
    """At the end of ``part``: all that must not depend on whether, when and how often the operator was killed."""
    events = (await life.informer.kube.list(EVENT, life.namespace))["items"]
    resources = {
        f"{kind.name}/{plain(one['metadata']['name'])}": _resource(one)
        for kind in OURS
        for one in life.informer.all(life.namespace, kind)
    }
    born = life.informer.born(life.namespace)
    return {
        "resources": resources,
        "made": _sorted(Counter({f"{kind}/{plain(name)}": len(uids) for (kind, name), uids in born.items()})),
        "events": _sorted(Counter(_event(one) for one in events if _counts(one, part))),
        "runs": sorted(_run(run) for run in await life.registry.runs()),
        "versions": [_version(one) for one in await life.registry.versions()],
        "model": _model(await life.registry.registered()),
        "alias moves": alias_moves(ledger),
    }


def differences(expected: Any, found: Any, where: str = "") -> Iterable[str]:
    """One line for each leaf that differs."""
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        for name in sorted({*expected, *found}):
            yield from differences(expected.get(name), found.get(name), f"{where}/{name}")
    elif expected != found:
        yield f"{where}: expected {expected}, found {found}"


def left_open(faults: Iterable[Fault]) -> Callable[[Picture], Picture]:
    """Takes out of a picture what ``faults`` may add to it."""
    present = frozenset(faults)
    added = tuple(beginning for beginning, causes in ADDED_BY if causes & present)

    def free(picture: Picture) -> Picture:
        events = {text: count for text, count in picture["events"].items() if not text.startswith(added)}
        return picture | {"events": events}

    return free


def ends(deaths: int, faults: Iterable[Fault]) -> list[str]:
    """What is wrong with an operator that ended so often by itself."""
    return [f"it ended by itself, {deaths} times"] if deaths and not MAY_END & frozenset(faults) else []


def alias_moves(ledger: Ledger) -> dict[str, list[str | None]]:
    """What each alias was moved to, in that order; saying the same once more is none.

    Two aliases are moved at the same time, so that there is no order between them.
    """
    moves: dict[str, list[str | None]] = {}
    for done in ledger.done:
        if done.committed and done.sent.side == "mlflow" and done.sent.path.endswith(ALIAS):
            versions, version = moves.setdefault(done.sent.json["alias"], []), done.sent.json.get("version")
            if not versions or versions[-1] != version:
                versions.append(version)
    return moves


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))


def _counts(event: Manifest, part: str) -> bool:
    """Whether its number is ours to keep."""
    ours = event.get("reportingController") == names.FIELD_MANAGER
    return ours and event["reason"] not in LEFT_OPEN.get(part, ())


def _event(event: Manifest) -> str:
    about = event["regarding"]
    return f"{event['type']} {event['reason']} of {about['kind']}/{plain(about['name'])}"


def _resource(raw: Manifest) -> Picture:
    status = raw.get("status", {})
    told = {
        "conditions": {one["type"]: f"{one['status']} {one['reason']}" for one in status.get("conditions", ())},
        "times": [name for name in ("startTime", "completionTime") if name in status],
        "attempts": [(one["number"], one["state"]) for one in status.get("attempts", ())],
        "failures": status.get("failures"),
        "code": status.get("code"),
        "registered": status.get("registered", {}).get("version"),
        "run ended": status.get("run", {}).get("ended"),
        "stable": status.get("stable", {}).get("version"),
        "candidate": status.get("candidate", {}).get("version"),
        "verdicts": [
            (one["version"], one["verdict"], one["reason"], one.get("recorded")) for one in status.get("verdicts", ())
        ],
        "alias moves": status.get("aliasMoves"),
        "owner": status.get("owner"),
        "retiring": status.get("retiring"),
        "cycle": status.get("cycle"),
        "last cycle": status.get("lastCycle"),
        "starts": len(status.get("starts", ())),
        "history": [
            (one["number"], one["outcome"], one["reason"], one.get("version")) for one in status.get("history", ())
        ],
    }
    return {name: value for name, value in told.items() if value}


def _run(run: dict[str, Any]) -> str:
    told = tags(run)
    training = plain(told[names.TAG_TRAINING].rpartition("/")[2])
    lost = " duplicate" if is_duplicate(run) else ""
    return f"{training} {run['info']['status']} {run['info']['lifecycle_stage']}{lost}"


def _version(version: dict[str, Any]) -> Picture:
    told = tags(version)
    rollout, gate = (json.loads(told.get(name, "{}")) for name in (names.TAG_ROLLOUT, names.TAG_GATE))
    return {
        "version": version["version"],
        "training": plain(told.get(names.TAG_TRAINING, "").rpartition("/")[2]),
        "tags": sorted(told),
        "verdict": rollout.get("verdict"),
        "gate": gate.get("outcome"),
        "cycle": told.get(names.TAG_CYCLE),
    }


def _model(model: dict[str, Any]) -> Picture:
    owner = tags(model).get(names.TAG_OWNER, "")
    aliases = {one["alias"]: one["version"] for one in model.get("aliases", ())}
    return {"aliases": aliases, "owner": owner.rpartition("/")[0].rpartition("/")[2]}
