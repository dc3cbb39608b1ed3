"""The composition root: the only place where the parts are made and told of each other."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import modelcycle.deployment.domain as deployment
import modelcycle.retrain.domain as retrain
import modelcycle.training.domain as training
from modelcycle.clock import utc_now
from modelcycle.cluster.bucket import TokenBucket
from modelcycle.cluster.credentials import CredentialSource
from modelcycle.cluster.kinds import MODEL_TRAINING, NAMESPACE
from modelcycle.cluster.kube import KubeCluster
from modelcycle.cluster.port import Cluster
from modelcycle.cluster.transport import Transport
from modelcycle.deployment.effects import ClusterEffects
from modelcycle.deployment.gauge import ReadyReplicas
from modelcycle.edge.http import serve
from modelcycle.edge.watching import watch
from modelcycle.metricstore.load import InFlight
from modelcycle.metricstore.loads import LoadPoller
from modelcycle.metricstore.prometheus import PrometheusStore
from modelcycle.registry.mlflow import MlflowRegistry
from modelcycle.runtime import memory
from modelcycle.runtime.elector import Elector, LeaseName
from modelcycle.runtime.fence import LeaseFence, OpenFence
from modelcycle.runtime.manager import Manager
from modelcycle.runtime.metrics import Metrics
from modelcycle.runtime.ports import Adapter, Domain
from modelcycle.settings import Endpoints, RunOptions, Settings, load_endpoints
from modelcycle.training.effects import TrainingEffects
from modelcycle.training.sweeper import Sweeper

LOG = logging.getLogger(__name__)
DRAIN_SECONDS = 2.0  # of the 5 s within which another replica works: what is cut off, that one takes up
DOMAINS: tuple[Domain, ...] = (training.DOMAIN, deployment.DOMAIN, retrain.DOMAIN)


async def run(options: RunOptions, domains: Sequence[Domain] = DOMAINS) -> None:
    """Run the operator until SIGTERM or SIGINT; raises what it can't go on with."""
    memory.give_back()
    stop = asyncio.Event()
    on_signals(stop)
    identity = f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
    source, metrics, fence = CredentialSource(options.kubeconfig), Metrics(), LeaseFence()
    async with AsyncExitStack() as stack:
        transport = Transport(source)
        stack.push_async_callback(transport.close)
        bucket = TokenBucket(options.requests_per_second, options.burst)
        cluster = KubeCluster(transport, bucket, fence, metrics.wrote)
        # The lease has a bucket of its own: it must not be lost because there is much to do.
        lease_cluster = KubeCluster(transport, TokenBucket(5.0, 10), OpenFence(), metrics.wrote)
        manager, sweeper = await _assembled(options, domains, cluster, fence, metrics, identity, stack)
        # Look at everything again, for whoever doubts that all was seen.
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, manager.router.resync)
        port = await stack.enter_async_context(serve(options.port, manager.live, manager.ready, manager.exposed))
        LOG.info("%s started, serving /livez, /readyz and /metrics on port %d", identity, port)

        async def duty() -> None:
            sweeper.soon()  # a training may have gone while nobody was on duty
            await manager.duty()

        lease = LeaseName(options.lease_namespace, options.lease_name)
        elector = Elector(lease_cluster, lease, identity, fence, duty, utc_now)
        await _live(manager, elector, sweeper, source, options, stop)
    LOG.info("stopped")


async def _assembled(
    options: RunOptions,
    domains: Sequence[Domain],
    cluster: Cluster,
    fence: LeaseFence,
    metrics: Metrics,
    identity: str,
    stack: AsyncExitStack,
) -> tuple[Manager, Sweeper]:
    """The manager with its adapters, which ``stack`` closes."""
    endpoints = load_endpoints(options.endpoints_file)
    settings = await _settings(options, endpoints, cluster)
    registry = MlflowRegistry(endpoints.mlflow, fence)
    store = PrometheusStore(endpoints.prometheus)
    load = PrometheusStore(endpoints.prometheus, InFlight, LoadPoller)
    adapters: list[Adapter] = [registry, store, load, ClusterEffects(cluster), TrainingEffects(cluster)]
    for adapter in adapters:
        stack.push_async_callback(adapter.close)
    names = tuple(endpoint.name for endpoint in endpoints.mlflow)
    sweeper = Sweeper(registry, cluster, settings.cluster_id, names, lambda: fence.is_open)
    manager = Manager(
        cluster=cluster,
        domains=domains,
        adapters=adapters,
        settings=settings,
        fence=fence,
        metrics=metrics,
        clock=utc_now,
        identity=identity,
        forgotten=lambda key: sweeper.soon() if key.kind == MODEL_TRAINING.name else None,
        namespaces=options.namespaces,
        workers=options.workers,
        relist_seconds=options.relist_seconds,
    )
    metrics.registry.register(ReadyReplicas(manager.cache))
    return manager, sweeper


async def _settings(options: RunOptions, endpoints: Endpoints, cluster: Cluster) -> Settings:
    cluster_id = options.cluster_id
    if cluster_id is None:
        kube_system = await cluster.get(NAMESPACE, None, "kube-system")
        cluster_id = str(kube_system["metadata"]["uid"])
    return Settings(
        cluster_id=cluster_id,
        serving_image=options.serving_image,
        endpoints=endpoints,
        namespaces=options.namespaces,
    )


async def _live(
    manager: Manager,
    elector: Elector,
    sweeper: Sweeper,
    source: CredentialSource,
    options: RunOptions,
    stop: asyncio.Event,
) -> None:
    """From the first list to the last write."""
    stopping = asyncio.create_task(stop.wait(), name="stop")
    priming = asyncio.create_task(manager.prime(), name="prime")
    tasks: set[asyncio.Task[Any]] = {stopping, priming}
    stop_watching = asyncio.Event()
    watching: asyncio.Task[None] | None = None
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            priming.result()
            tasks.remove(priming)
            work = {**manager.tasks(), "elector": elector.run(), "sweeper": sweeper.run()}
            tasks |= {asyncio.create_task(one, name=name) for name, one in work.items()}
            # kopf last: at its end it takes every task that is younger than itself for its own, and cancels it.
            watching = asyncio.create_task(
                watch(manager, source, options.namespaces, stop_watching, lambda: on_signals(stop)), name="kopf"
            )
            done, _ = await asyncio.wait({*tasks, watching}, return_when=asyncio.FIRST_COMPLETED)
            _raise_unless_stopped(done, stop)
    finally:
        await _end(manager, elector, tasks)
        stop_watching.set()
        if watching is not None:
            await asyncio.wait({watching})


def _raise_unless_stopped(done: set[asyncio.Task[Any]], stop: asyncio.Event) -> None:
    """None of the tasks ends by itself: if one did, unasked, then the process has to be started anew."""
    for task in done if not stop.is_set() else ():
        task.result()
        raise RuntimeError(f"{task.get_name()} ended unexpectedly")


async def _end(manager: Manager, elector: Elector, tasks: set[asyncio.Task[Any]]) -> None:
    """Finish what is under way while the lease is still being renewed, give the lease back, end the rest."""
    LOG.info("stopping")
    try:
        await asyncio.wait_for(manager.drain(), DRAIN_SECONDS)
    except TimeoutError:
        LOG.warning("what is under way did not end within %.0f s; the next leader takes it up", DRAIN_SECONDS)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await elector.stop()


def on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
