"""One active replica, by a Lease. The others keep their caches warm and wait.

Time is judged by the own monotonic clock only, as client-go does: a candidate counts from the moment at which it *saw*
the lease change, so that clocks of nodes that differ do no harm.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from modelcycle.clock import Clock
from modelcycle.cluster.kinds import LEASE
from modelcycle.cluster.port import Cluster
from modelcycle.core.plan import Manifest
from modelcycle.errors import AlreadyExists, Conflict, ModelcycleError, NotFound
from modelcycle.runtime.fence import LeaseFence

LOG = logging.getLogger(__name__)
LEASE_SECONDS = 15.0  # client-go's 15, 10 and 2
RENEW_SECONDS = 10.0
RETRY_SECONDS = 2.0
TRY_SECONDS = 3.0  # one turn at most: a server that hangs once leaves time for another try before the lease is lost


@dataclass(frozen=True, slots=True)
class LeaseName:
    namespace: str
    name: str


class Elector:
    """``duty`` is started when the lease is gained and cancelled when it is lost; it lasts until then."""

    def __init__(
        self,
        cluster: Cluster,
        lease: LeaseName,
        identity: str,
        fence: LeaseFence,
        duty: Callable[[], Coroutine[Any, Any, None]],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._lease = lease
        self._identity = identity
        self._fence = fence
        self._duty = duty
        self._clock = clock
        self._monotonic = monotonic
        self._on_duty: asyncio.Task[None] | None = None
        self._held: Manifest | None = None  # the lease as we wrote it last
        self._seen: tuple[Any, ...] | None = None
        self._free_at = float("-inf")  # when the holder's time is over, counted from when we saw the lease change
        self._deadline = float("-inf")

    @property
    def is_leader(self) -> bool:
        return self._on_duty is not None

    async def run(self) -> None:
        """Compete for the lease, hold it, lose it, and compete again. Ends only when the duty fails."""
        while True:
            await self._turn()
            if self._on_duty is None:
                await asyncio.sleep(pause(self._monotonic(), self._free_at))
            else:
                done, _ = await asyncio.wait({self._on_duty}, timeout=RETRY_SECONDS)
                for task in done:
                    task.result()

    async def stop(self) -> None:
        """Give the lease back, so that another replica need not wait until it runs out."""
        self._fence.close()
        await self._go_off_duty()
        if self._held is None:
            return
        self._held = None
        try:
            # Read it again: the answer to the last renewal may have been lost when the renewing was cancelled.
            lease = await self._cluster.get(LEASE, self._lease.namespace, self._lease.name)
            if lease.get("spec", {}).get("holderIdentity") == self._identity:
                await self._cluster.replace(LEASE, _with_spec(lease, holderIdentity="", leaseDurationSeconds=1))
                LOG.info("gave the lease back")
        except ModelcycleError as error:
            LOG.warning("the lease could not be given back, it runs out by itself: %s", error)

    async def _turn(self) -> None:
        started = self._monotonic()
        try:
            async with asyncio.timeout(TRY_SECONDS):
                held = await self._renewed() if self._held is not None else await self._acquired()
        except (ModelcycleError, TimeoutError) as error:
            LOG.warning("the lease could not be read or written: %s", str(error) or "no answer in time")
            held = False
        if held:
            if self._monotonic() >= self._deadline:
                # What was to be written since then was refused, and nobody else looks at it: begin anew.
                await self._go_off_duty()
            self._deadline = started + RENEW_SECONDS
            self._fence.allow_until(self._deadline)
            self._go_on_duty()
        elif self._held is None or self._monotonic() >= self._deadline:
            self._held = None
            self._fence.close()
            await self._go_off_duty()

    async def _renewed(self) -> bool:
        try:
            return await self._write(self._held or {})
        except Conflict:
            self._held = None  # somebody wrote it, perhaps we ourselves when an answer got lost: look
            return await self._acquired()

    async def _acquired(self) -> bool:
        try:
            lease = await self._cluster.get(LEASE, self._lease.namespace, self._lease.name)
        except NotFound:
            return await self._created()
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") not in (None, "", self._identity) and self._is_alive(spec):
            return False
        try:
            return await self._write(_with_spec(lease, **self._taken_over(spec)))
        except Conflict:
            return False

    def _is_alive(self, spec: Manifest) -> bool:
        """Whether the holder's time is not over."""
        now = self._monotonic()
        seen = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen = seen
            self._free_at = now + float(spec.get("leaseDurationSeconds") or LEASE_SECONDS)
        return now < self._free_at

    def _taken_over(self, spec: Manifest) -> Manifest:
        if spec.get("holderIdentity") == self._identity:
            return {}
        transitions = int(spec.get("leaseTransitions") or 0) + 1
        return {"acquireTime": self._stamp(), "leaseTransitions": transitions}

    async def _created(self) -> bool:
        name = {"namespace": self._lease.namespace, "name": self._lease.name}
        lease = {"apiVersion": LEASE.api_version, "kind": LEASE.name, "metadata": name}
        spec = {"acquireTime": self._stamp(), "leaseTransitions": 0}
        try:
            self._held = await self._cluster.create(LEASE, _with_spec(lease, **spec, **self._renewal()))
        except AlreadyExists:
            return False
        return True

    async def _write(self, lease: Manifest) -> bool:
        self._held = await self._cluster.replace(LEASE, _with_spec(lease, **self._renewal()))
        return True

    def _renewal(self) -> Manifest:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(LEASE_SECONDS),
            "renewTime": self._stamp(),
        }

    def _stamp(self) -> str:
        return self._clock().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _go_on_duty(self) -> None:
        if self._on_duty is None:
            LOG.info("%s holds the lease %s/%s", self._identity, self._lease.namespace, self._lease.name)
            self._on_duty = asyncio.create_task(self._duty(), name="duty of the leader")

    async def _go_off_duty(self) -> None:
        duty, self._on_duty = self._on_duty, None
        if duty is None:
            return
        LOG.info("%s no longer holds the lease", self._identity)
        duty.cancel()
        with suppress(asyncio.CancelledError):
            await duty


def pause(now: float, free_at: float) -> float:
    """Seconds until a standby looks at the lease again: at once when it is free, so that a takeover takes no longer."""
    left = free_at - now
    return left if 0 < left < RETRY_SECONDS else RETRY_SECONDS


def _with_spec(lease: Manifest, **spec: Any) -> Manifest:  # noqa: ANN401 (JSON)
    return lease | {"spec": (lease.get("spec") or {}) | spec}
