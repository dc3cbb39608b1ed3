"""Runs kopf: login, watch streams and reconnecting, configured to watch and to do nothing else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import kopf

from modelcycle.cluster.credentials import Credentials, CredentialSource
from modelcycle.cluster.kinds import CHILDREN
from modelcycle.constants import LABEL_MANAGED_BY, MANAGED_BY
from modelcycle.edge.handlers import EventSink, register
from modelcycle.edge.straight import straight_to


class NullDiffBaseStorage(kopf.DiffBaseStorage):
    """Keeps no last-handled state. kopf copies each object deeply to compare it with that, which nobody here needs."""

    def build(self, **_: Any) -> kopf.BodyEssence:  # noqa: ANN401 (kopf's own signature)
        return kopf.BodyEssence()

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:  # noqa: ANN401
        return None

    def store(self, **_: Any) -> None:  # noqa: ANN401
        return


def watch_settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = NullDiffBaseStorage()
    settings.posting.enabled = False  # our own recorder tells events
    settings.scanning.disabled = True  # the kinds are known, and watching CRDs and namespaces would need more rights
    settings.peering.standalone = True  # a Lease elects the leader
    settings.process.ultimate_exiting_timeout = None  # the end is ours, see app.py
    settings.watching.chunk_size = 500
    settings.watching.server_timeout = 600
    settings.watching.connect_timeout = 10
    settings.watching.inactivity_timeout = 70  # a bookmark comes every 60 s, so a watch that is silent longer is dead
    settings.networking.request_timeout = 30
    settings.networking.enforce_retry_after = True
    settings.networking.error_backoffs = [seconds * random.uniform(0.8, 1.2) for seconds in (1, 1, 2, 3, 5, 8, 13, 21)]  # noqa: S311
    settings.queueing.exit_timeout = 2
    for kind in CHILDREN:
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = f"{LABEL_MANAGED_BY}={MANAGED_BY}"
    return settings


def _add_login(registry: kopf.OperatorRegistry, source: CredentialSource) -> None:
    async def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401
        return connection_info(await source.load())

    kopf.on.login(id="login", registry=registry)(login)


def connection_info(credentials: Credentials) -> kopf.ConnectionInfo:
    scheme, _, token = (credentials.authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_path,
        insecure=not credentials.verify,
        scheme=scheme or None,
        token=token or None,
        certificate_path=credentials.certificate_path,
        private_key_path=credentials.key_path,
    )


async def watch(
    sink: EventSink,
    source: CredentialSource,
    namespaces: Sequence[str],
    stop: asyncio.Event,
    started: Callable[[], None],
) -> None:
    """Watch until ``stop`` is set; of all namespaces when none are given. Raises what kopf can't recover from.

    ``started`` is called once kopf has taken over the process's signal handlers, to take them back.
    """
    registry = kopf.OperatorRegistry()
    register(registry, sink)
    _add_login(registry, source)
    mine = asyncio.all_tasks()
    with straight_to(sink):
        tasks = await kopf.spawn_tasks(
            registry=registry,
            settings=watch_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=tuple(namespaces),
            stop_flag=stop,
        )
        started()
        await kopf.run_tasks(tasks, ignored=mine)
