"""What the administrator decides once for the operator: how it runs, images, and the endpoints that resources may name.

Endpoints are *named* in a resource and *defined* here, so that no tenant can send the operator or a pod to a place of
their own choosing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from modelcycle.api.v1alpha1.common import DNS_LABEL_PATTERN
from modelcycle.errors import Unusable

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$", max_length=512, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=DNS_LABEL_PATTERN, max_length=63)]


class SettingsModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Endpoint(SettingsModel):
    """A server that resources may name. ``namespaces``: exact names, or ``*`` for all."""

    name: Name
    url: Url
    ca_file: str | None = None
    token_file: str | None = None
    namespaces: tuple[str, ...] = ("*",)

    def serves(self, namespace: str) -> bool:
        return "*" in self.namespaces or namespace in self.namespaces


class MlflowEndpoint(Endpoint):
    """``model_prefixes``: registered names must start with one; ``{namespace}`` stands for the resource's namespace.

    ``pod_cache``: where pods ask for a file of a model before they ask MLflow, if there is such a place.
    """

    model_prefixes: tuple[str, ...] = ("{namespace}.",)
    pod_url: Url | None = None
    pod_cache: Url | None = None
    pod_secret: str | None = None

    def may_register(self, namespace: str, model: str) -> bool:
        return any(model.startswith(prefix.replace("{namespace}", namespace)) for prefix in self.model_prefixes)


class PrometheusEndpoint(Endpoint):
    """``scrape_seconds``: how often it reads the serving pods; readings older than a few of these are stale."""

    scrape_seconds: int = Field(default=5, ge=1, le=3600)


class Endpoints(SettingsModel):
    mlflow: tuple[MlflowEndpoint, ...] = ()
    prometheus: tuple[PrometheusEndpoint, ...] = ()

    def mlflow_named(self, name: str, namespace: str) -> MlflowEndpoint | None:
        return next((e for e in self.mlflow if e.name == name and e.serves(namespace)), None)

    def prometheus_named(self, name: str, namespace: str) -> PrometheusEndpoint | None:
        return next((e for e in self.prometheus if e.name == name and e.serves(namespace)), None)


class Settings(SettingsModel):
    """All settings. ``cluster_id`` is the uid of the kube-system namespace unless given; no ``namespaces``: all."""

    cluster_id: str
    serving_image: str
    endpoints: Endpoints = Endpoints()
    namespaces: tuple[Name, ...] = ()

    def looks_after(self, namespace: str) -> bool:
        """Whether the operator sees what is in ``namespace``."""
        return not self.namespaces or namespace in self.namespaces


class RunOptions(SettingsModel):
    """How one process of the operator runs: flags of ``modelcycle run``, each with an environment variable."""

    kubeconfig: Path | None = None
    namespaces: tuple[Name, ...] = ()
    endpoints_file: Path | None = None
    serving_image: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    cluster_id: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = None
    lease_namespace: Name = "default"
    lease_name: Name = "modelcycle"
    port: int = Field(default=8080, ge=0, le=65535)
    requests_per_second: float = Field(default=200.0, gt=0, le=10_000)
    burst: int = Field(default=400, ge=1, le=100_000)
    workers: int = Field(default=16, ge=1, le=256)
    relist_seconds: int = Field(default=600, ge=1, le=86_400)


def load_endpoints(path: Path | None) -> Endpoints:
    """The endpoints of the administrator's file; none without a file. Raises ``Unusable`` with what is wrong in it."""
    if path is None:
        return Endpoints()
    try:
        return Endpoints.model_validate(yaml.safe_load(path.read_text()) or {})
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise Unusable("EndpointsUnusable", f"the file of endpoints {path} can't be used: {error}") from error
