"""What tests of the whole operator share: one API server, one MLflow, and stand-ins for the rest."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from tests.support.lab.informer import Informer, informer
from tests.support.lab.kube import Kube, connect
from tests.support.lab.metrics import FakePrometheus, fake_prometheus
from tests.support.lab.nursery import Nursery, nursery
from tests.support.lab.standins import Standins


@dataclass(frozen=True)
class Lab:
    kube: Kube
    informer: Informer
    standins: Standins
    prometheus: FakePrometheus
    nursery: Nursery
    session: aiohttp.ClientSession
    mlflow: str
    folder: Path


@asynccontextmanager
async def open_lab(kubeconfig: Path, mlflow: str, folder: Path) -> AsyncIterator[Lab]:
    """A lab before a cluster that has our CRDs; raises what the stand-ins failed with."""
    async with (
        connect(kubeconfig) as kube,
        informer(kube) as informed,
        fake_prometheus() as prometheus,
        nursery() as starter,
        aiohttp.ClientSession() as session,
    ):
        standins = Standins(informed)
        yield Lab(kube, informed, standins, prometheus, starter, session, mlflow, folder)
        await standins.stop()
        for failure in informed.failures:
            raise failure
