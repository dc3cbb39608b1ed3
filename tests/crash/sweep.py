"""Learn which mutating requests a life consists of, then live it again for each of them and each kill point."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from modelcycle.cluster.kinds import NAMESPACE
from tests.crash.life import PARTS, Life
from tests.crash.oracle import Picture, differences, picture
from tests.crash.proxy import FaultProxy, Ledger, Point, When, serve
from tests.crash.registry import RegistryView
from tests.crash.signatures import is_event, is_repetition
from tests.support.lab.kube import new_session
from tests.support.lab.lab import Lab
from tests.support.lab.operators import Operator, write_endpoints, write_kubeconfig
from tests.support.lab.standins import Script

CALM_SECONDS = 1.5
CALM_WITHIN_SECONDS = 30.0
SILENT_SECONDS = 3.0
TRIES = 3
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Learnt:
    """A request of the reference life: in which part it came, and how often its signature had come by then."""

    part: int
    signature: str
    occurrence: int


@dataclass
class Reference:
    """The life in which nothing happened to the operator."""

    requests: list[Learnt] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Case:
    part: int
    point: Point


@dataclass(frozen=True, slots=True)
class Verdict:
    """``violations`` empty: nothing lost, nothing twice."""

    case: Case
    reached: bool
    violations: tuple[str, ...] = ()


@dataclass
class Setting:
    """One namespace with its operator behind its proxies."""

    life: Life
    ledger: Ledger
    operator: Operator


@asynccontextmanager
async def setting(lab: Lab, namespace: str, point: Point | None) -> AsyncIterator[Setting]:
    """A namespace, and an operator in it, which is started again when it is killed."""
    await lab.kube.create({"apiVersion": "v1", "kind": NAMESPACE.name, "metadata": {"name": namespace}})
    folder = lab.folder / namespace
    folder.mkdir()
    lab.standins.scripts[namespace] = Script(lab.mlflow, hanging=frozenset({"last"}))
    model = f"{namespace}.hedge"
    view = RegistryView(lab.session, lab.mlflow, model, f"{namespace}/{model}")
    life = Life(namespace, lab.informer, lab.prometheus, view)
    killed = asyncio.Event()

    def kill() -> None:
        operator.kill()
        killed.set()

    ledger = Ledger(namespace, kill, point=point)
    async with AsyncExitStack() as stack:
        # Its own: what a killed operator watched is let go of at the end of the case.
        session = await stack.enter_async_context(new_session(lab.kube.credentials))
        ways = {"kube": lab.kube.credentials.server, "mlflow": lab.mlflow}
        urls = {
            side: await stack.enter_async_context(serve(FaultProxy(side, target, ledger, session)))
            for side, target in ways.items()
        }
        operator = Operator(
            namespace=namespace,
            kubeconfig=write_kubeconfig(folder / "kubeconfig", urls["kube"], lab.kube),
            endpoints=write_endpoints(folder / "endpoints.yaml", urls["mlflow"], lab.prometheus.url),
            log=folder / "operator.log",
            nursery=lab.nursery,
            kube=lab.kube,
        )
        await operator.start()
        doctor = asyncio.create_task(_start_again(operator, killed))
        try:
            yield Setting(life, ledger, operator)
        finally:
            doctor.cancel()
            operator.kill()
            del lab.standins.scripts[namespace]


async def _start_again(operator: Operator, killed: asyncio.Event) -> None:
    await killed.wait()
    await operator.start_again()


# --- learning --------------------------------------------------------------------------------------------------------
async def learn(lab: Lab) -> Reference:
    """Live all parts once, undisturbed. Raises AssertionError where even that does not come to rest."""
    reference = Reference()
    async with setting(lab, "reference", None) as here:
        for number, (part, live) in enumerate(PARTS):
            before = len(here.ledger.done)
            await live(here.life)
            await _calm(here)
            reference.requests += [Learnt(number, one.signature, one.occurrence) for one in here.ledger.done[before:]]
            reference.pictures.append(await picture(here.life, here.ledger, part))
            loud = await _writes_of_a_resync(here)
            assert not loud, f"the reference is not at rest after part {part}: {loud}"
    return reference


def all_cases(reference: Reference) -> list[Case]:
    """Two for each request, of equal statuses for the first."""
    distinct = [one for one in reference.requests if not is_repetition(one.signature, one.occurrence)]
    return [
        Case(one.part, Point(one.signature, one.occurrence, when))
        for one in distinct
        for when in (When.BEFORE, When.AFTER)
    ]


def slice_of(cases: Sequence[Case]) -> list[Case]:
    """Every kill point of the training part and every third of the others, events left out."""
    training = [case for case in cases if case.part == 0]
    others = [case for case in cases if case.part > 0]
    kept = training + others[::3]
    return [case for case in kept if not is_event(case.point.signature)]


# --- a case ----------------------------------------------------------------------------------------------------------
async def run_cases(lab: Lab, reference: Reference, cases: Sequence[Case], at_once: int, say: Say) -> list[Verdict]:
    """All cases, so many side by side; ``say`` hears of each that ended."""
    places = asyncio.Semaphore(at_once)
    ended = 0

    async def one(number: int, case: Case) -> Verdict:
        nonlocal ended
        async with places:
            verdict = await _tried(lab, reference, case, f"case-{number}")
        ended += 1
        say(f"{ended}/{len(cases)} {_told(verdict)} {PARTS[case.part][0]}: {case.point}")
        for violation in verdict.violations:
            say(f"    {violation}")
        return verdict

    return list(await asyncio.gather(*(one(number, case) for number, case in enumerate(cases))))


def _told(verdict: Verdict) -> str:
    if verdict.violations:
        return "VIOLATED"
    return "ok" if verdict.reached else "NOT REACHED"


async def _tried(lab: Lab, reference: Reference, case: Case, name: str) -> Verdict:
    """Lives differ in what goes on at the same time: a point that did not come up is looked for again."""
    for number in range(TRIES):
        verdict = await _run(lab, reference, case, f"{name}-{number}")
        if verdict.reached or verdict.violations:
            break
    return verdict


async def _run(lab: Lab, reference: Reference, case: Case, namespace: str) -> Verdict:
    async with setting(lab, namespace, case.point) as here:
        try:
            for _, live in PARTS[: case.part + 1]:
                await live(here.life)
            await _calm(here)
            found = await picture(here.life, here.ledger, PARTS[case.part][0])
            broken = [*differences(reference.pictures[case.part], found)]
            broken += [f"writes after a resync: {one}" for one in await _writes_of_a_resync(here)]
        except (AssertionError, TimeoutError) as error:
            broken = [str(error) or type(error).__name__]
        except aiohttp.ClientError:
            broken = [traceback.format_exc()]
        return Verdict(case, here.ledger.reached, tuple(broken))


async def _calm(here: Setting) -> None:
    """Until the operator, in its second life if it was killed, has not written anything for a moment."""
    async with asyncio.timeout(CALM_WITHIN_SECONDS):
        # One that was killed by its last write of all has nothing left to write, but looks at everything once.
        while here.operator.starts == (1 if here.ledger.reached else 0) or not here.operator.is_on_duty():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        before = -1
        while before != len(here.ledger.done):
            before = len(here.ledger.done)
            await asyncio.sleep(CALM_SECONDS)


async def _writes_of_a_resync(here: Setting) -> list[str]:
    """What the operator writes when it looks at every key again: nothing, if it is well."""
    before = len(here.ledger.done)
    here.operator.resync()
    await asyncio.sleep(SILENT_SECONDS)
    return [one.signature for one in here.ledger.done[before:]]
