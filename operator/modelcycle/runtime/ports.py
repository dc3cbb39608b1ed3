"""What the runtime asks of its neighbours: a domain for each of our kinds, and adapters to the outside.

A *domain* (training, deployment, retrain) is pure: it gathers from the cache and decides. An *adapter* (MLflow's
registry, Prometheus) carries out effects and reads facts; it knows no Kubernetes. The runtime owns everything between:
queue, retries, backoff, the fence, what was asked and what came of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from modelcycle.cluster.views import View
from modelcycle.core.observed import Observed, Resource
from modelcycle.core.plan import Effect, FactRequest, Facts, Outcomes, Plan, Ref
from modelcycle.errors import ModelcycleError
from modelcycle.settings import Settings

ViewT = TypeVar("ViewT", bound=View)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names one of our resources on the queue. ``kind`` is its Kubernetes kind, e.g. ``ModelTraining``."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


class CacheReader(Protocol):
    """The cluster as the cache has it. Cheap: everything is in memory and indexed; nothing is copied.

    What we wrote ourselves is in it as soon as the server answered. What others did is in it when its watch event came;
    something missing may be there all the same (see ``Domain.expected``); the runtime itself asks the API server
    before it creates what seems to be missing.
    """

    def get(self, type_: type[ViewT], kind: str, namespace: str, name: str) -> ViewT | None:
        """The view by name, e.g. ``cache.get(Resource, "ModelDeployment", "shop", "ranker")``."""

    def owned(self, type_: type[ViewT], uid: str) -> tuple[ViewT, ...]:
        """Views of ``type_`` whose label LABEL_OWNER_UID or LABEL_POLICY_UID is ``uid``, sorted by name.

        ``Resource`` gives our own kinds (a policy's ModelTrainings), ``ObjectView`` every other child that has no view
        type of its own.
        """

    def about(self, kind: str, namespace: str, subject: str) -> tuple[Resource[Any, Any], ...]:
        """ModelDeployments of a model, or RetrainPolicies of a deployment, by name; none that is invalid."""


class Domain(Protocol):
    """One of our kinds: how to see it, and what to do. A module-level object ``DOMAIN`` of ``<package>/domain.py``."""

    @property
    def kind(self) -> str:
        """Kubernetes kind, e.g. ``ModelTraining``."""

    def observe(
        self, resource: Resource[Any, Any], cache: CacheReader, outcomes: Outcomes, facts: Facts, settings: Settings
    ) -> Observed[Any, Any]:
        """Gather what ``decide`` looks at. No I/O. ``facts``: requests of the last plan that have been read so far."""

    def expected(self, resource: Resource[Any, Any]) -> Iterable[Ref]:
        """Children that must exist by what the status says, e.g. the Job of an attempt that has not ended.

        Where the cache lacks one of these, the runtime asks the API server before ``observe``: a decision that depends
        on absence ("the Job was deleted, start another") then never rests on a watch that lags.
        """

    def decide(self, observed: Observed[Any, Any], now: datetime) -> Plan[Any]:
        """The pure decision. ``plan.status`` is an ``ApiModel``.

        Called for resources whose spec is invalid too (``resource.invalid``), not for those being deleted: the runtime
        forgets them and the garbage collector takes the children, since we have no finalizers.
        """

    def concerned(self, kind: str, view: View, cache: CacheReader) -> Iterable[Key]:
        """Keys of this domain that a change of ``view`` (of Kubernetes kind ``kind``) concerns.

        The resource itself and the owner of a labelled child are found by the runtime; this is for everything else,
        e.g. the policies that point to a ModelDeployment. ``view`` is the last known one when the object is gone.
        """


EffectHandler = Callable[[Any], Awaitable[Any]]
FactReadings = Mapping[FactRequest, Any | ModelcycleError]


class Poller(Protocol):
    """Reads the facts of one endpoint."""

    @property
    def interval(self) -> float:
        """Seconds between two readings."""

    async def read(self, requests: Collection[FactRequest]) -> FactReadings:
        """The value of each request, or the ``ModelcycleError`` that kept it from being read.

        Batches as it likes. Raises a ``ModelcycleError`` when nothing can be read: that is every request's error then.
        """


class Adapter(Protocol):
    """An outside system with all its endpoints. Made inside of the running event loop, closed in it.

    The composition root makes ``modelcycle.registry.mlflow.MlflowRegistry(settings.endpoints.mlflow, fence)`` and
    ``modelcycle.metricstore.prometheus.PrometheusStore(settings.endpoints.prometheus)``.

    ``effects``: a handler for each type of effect. They run beside the pass that asked for them, whose status is
    written without waiting: what came of an effect is seen by a later pass only, in ``observed.outcomes``. A handler
    returns the result, or raises: ``Retryable`` is tried again with backoff (``after`` seconds, if given), everything
    else after five minutes. Several handlers run at the same time, but never two for one resource. An effect that
    succeeded is not run again for the same resource (add a field to it to ask anew); one that failed holds back no
    other. A handler may be cancelled at any time, when the operator stops.

    ``facts``: the types of fact requests that ``pollers`` (by endpoint name) read. Every effect and every fact request
    has an attribute ``endpoint``; for one that nobody defined a handler raises ``Unusable("EndpointUnknown", ...)``.
    """

    @property
    def effects(self) -> Mapping[type[Effect], EffectHandler]: ...

    @property
    def facts(self) -> frozenset[type[FactRequest]]: ...

    @property
    def pollers(self) -> Mapping[str, Poller]: ...

    async def close(self) -> None: ...
