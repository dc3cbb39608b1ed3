"""Learn which requests a life consists of, then live it again in each of the ways that ``cases`` thinks of."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

from modelcycle.cluster.kinds import NAMESPACE
from tests.crash.cases import CALM_SECONDS, PATIENCE_SECONDS, Case, Learnt
from tests.crash.faults import Plan
from tests.crash.life import PARTS, Life
from tests.crash.oracle import Picture, differences, ends, left_open, picture
from tests.crash.proxy import FaultProxy, Injected, Ledger, serve
from tests.crash.registry import RegistryView
from tests.support.lab.kube import new_session
from tests.support.lab.lab import Lab
from tests.support.lab.operators import Operator, write_endpoints, write_kubeconfig
from tests.support.lab.standins import Script

CALM_WITHIN_SECONDS = 60.0
LOOK_SECONDS = 0.1
SILENT_SECONDS = 3.0
TRIES = 3
Say = Callable[[str], None]


@dataclass
class Reference:
    """The life in which nothing happened to the operator."""

    requests: list[Learnt] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """``violations`` empty: nothing lost, nothing twice. ``deaths``: how often the operator ended by itself."""

    case: Case
    injected: tuple[Injected, ...]
    violations: tuple[str, ...] = ()
    deaths: int = 0

    @property
    def reached(self) -> bool:
        """Whether each of the case's faults came up."""
        return self.case.faults <= {one.fault for one in self.injected}


@dataclass
class Setting:
    """One namespace with its operator behind its proxies."""

    life: Life
    ledger: Ledger
    operator: Operator

    @property
    def deaths(self) -> int:
        return self.operator.starts - 1 - self.ledger.kills


@asynccontextmanager
async def setting(
    lab: Lab,
    namespace: str,
    plan: Plan | None = None,
    flags: Mapping[str, str] | None = None,
    patience: float = PATIENCE_SECONDS,
) -> AsyncIterator[Setting]:
    """A namespace, and an operator in it, which is started again when it is killed, or has ended by itself."""
    await lab.kube.create({"apiVersion": "v1", "kind": NAMESPACE.name, "metadata": {"name": namespace}})
    folder = lab.folder / namespace
    folder.mkdir()
    lab.standins.scripts[namespace] = Script(lab.mlflow, hanging=frozenset({"last"}))
    model = f"{namespace}.hedge"
    view = RegistryView(lab.session, lab.mlflow, model, f"{namespace}/{model}")
    life = Life(namespace, lab.informer, lab.prometheus, view, patience)
    ledger = Ledger(namespace, lambda: operator.kill(), plan or ())
    async with AsyncExitStack() as stack:
        # Its own: what a killed operator watched is let go of at the end of the case.
        session = await stack.enter_async_context(new_session(lab.kube.credentials))
        # Uvicorn closes idle connections after 5 s: one that is reused at that moment would be one more fault.
        connector = aiohttp.TCPConnector(keepalive_timeout=2, limit=0)
        outside = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        ways = (
            FaultProxy("kube", lab.kube.credentials.server, ledger, session),
            FaultProxy("mlflow", lab.mlflow, ledger, outside),
            FaultProxy("prometheus", lab.prometheus.url, ledger, outside),
        )
        urls = {way.side: await stack.enter_async_context(serve(way)) for way in ways}
        operator = Operator(
            namespace=namespace,
            kubeconfig=write_kubeconfig(folder / "kubeconfig", urls["kube"], lab.kube),
            endpoints=write_endpoints(folder / "endpoints.yaml", urls["mlflow"], urls["prometheus"]),
            log=folder / "operator.log",
            nursery=lab.nursery,
            kube=lab.kube,
            flags=flags or {},
        )
        await operator.start()
        doctor = asyncio.create_task(_keep_alive(operator))
        try:
            yield Setting(life, ledger, operator)
        finally:
            doctor.cancel()
            operator.kill()
            del lab.standins.scripts[namespace]


async def _keep_alive(operator: Operator) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if not operator.lives():
            await operator.start_again()


# --- learning --------------------------------------------------------------------------------------------------------
async def learn(lab: Lab) -> Reference:
    """Live all parts once, undisturbed. Raises AssertionError where even that does not come to rest."""
    reference = Reference()
    async with setting(lab, "reference") as here:
        for number, (part, live) in enumerate(PARTS):
            before = len(here.ledger.log)
            await live(here.life)
            await _calm(here, CALM_SECONDS)
            reference.requests += [Learnt(number, one, nth) for one, nth in here.ledger.log[before:]]
            reference.pictures.append(await picture(here.life, here.ledger, part))
            loud = await _writes_within(here, SILENT_SECONDS)
            assert not loud, f"the reference is not at rest after part {part}: {loud}"
    return reference


# --- a case ----------------------------------------------------------------------------------------------------------
async def run_cases(lab: Lab, reference: Reference, cases: Sequence[Case], at_once: int, say: Say) -> list[Verdict]:
    """All cases, so many of each kind side by side; ``say`` hears of each that ended.

    Whole lives mostly wait, for answers that never come and for pauses between tries; kills mostly compute.
    """
    places = {throughout: asyncio.Semaphore(at_once) for throughout in (True, False)}
    ended = 0

    async def one(number: int, case: Case) -> Verdict:
        nonlocal ended
        async with places[case.throughout]:
            started = asyncio.get_running_loop().time()
            verdict = await _tried(lab, reference, case, f"case-{number}")
            seconds = asyncio.get_running_loop().time() - started
        ended += 1
        say(f"{ended}/{len(cases)} {_told(verdict)} {PARTS[case.part][0]}: {case.name} ({seconds:.0f} s)")
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
    broken: list[str] = []
    async with setting(lab, namespace, case.plan, case.flags, case.patience) as here:
        try:
            for number, (part, live) in enumerate(PARTS[: case.part + 1]):
                await live(here.life)
                if case.throughout or number == case.part:
                    broken += [
                        f"{part}: {one}" for one in await _looked_at(here, case, reference.pictures[number], part)
                    ]
                if broken:
                    break
            broken += ends(here.deaths, case.faults)
            if case.silence and not broken:
                broken += [f"writes in silence: {one}" for one in await _writes_within(here, case.silence)]
        except (AssertionError, TimeoutError) as error:
            broken.append(str(error) or traceback.format_exc())
        except aiohttp.ClientError:
            broken.append(traceback.format_exc())
        return Verdict(case, tuple(here.ledger.injected), tuple(broken), here.deaths)


async def _looked_at(here: Setting, case: Case, expected: Picture, part: str) -> list[str]:
    """What is wrong at the end of ``part``."""
    await _calm(here, case.calm)
    found = await picture(here.life, here.ledger, part)
    free = left_open(case.faults)
    broken = list(differences(free(expected), free(found)))
    return broken + [f"writes after a resync: {one}" for one in await _writes_within(here, SILENT_SECONDS)]


async def _calm(here: Setting, seconds: float) -> None:
    """Until the operator, in its next life if it was killed, has not written anything for a moment."""
    async with asyncio.timeout(CALM_WITHIN_SECONDS + here.life.patience):
        # One that was killed by its last write of all has nothing left to write, but looks at everything once.
        while here.operator.starts <= here.ledger.kills or not here.operator.is_on_duty():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        before = -1
        while before != len(here.ledger.done) or here.ledger.held:
            before = len(here.ledger.done)
            await asyncio.sleep(seconds)


async def _writes_within(here: Setting, seconds: float) -> list[str]:
    """What the operator writes when it looks at every key again, and in the time after: nothing, if it is well."""
    before = len(here.ledger.done)
    here.operator.resync()
    await asyncio.sleep(seconds)
    return [one.signature for one in here.ledger.done[before:]]
