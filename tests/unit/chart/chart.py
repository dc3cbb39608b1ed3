"""The chart's objects for given values, as tests look at them."""

from __future__ import annotations

from typing import Any

import yaml

from helm import render

Manifest = dict[str, Any]
REAL_MLFLOW = (
    "--set=endpoints.mlflow[0].name=default",
    "--set=endpoints.mlflow[0].url=https://mlflow.example.com",
)
REAL_PROMETHEUS = (
    "--set=endpoints.prometheus[0].name=default",
    "--set=endpoints.prometheus[0].url=https://prometheus.example.com",
)
HA = f"--values={render.INSTALLS['install-ha.yaml']}"


class Chart:
    """What the chart gives for some arguments of `helm template`."""

    def __init__(self, *arguments: str, release: str = render.RELEASE) -> None:
        self.text = render.template(*arguments, release=release)
        self.objects: list[Manifest] = [each for each in yaml.safe_load_all(self.text) if each]

    def get(self, kind: str, name: str) -> Manifest:
        found = [one for one in self.objects if (one["kind"], one["metadata"]["name"]) == (kind, name)]
        assert len(found) == 1, f"{len(found)} of {kind} {name}, there are {self.names(kind)}"
        return found[0]

    def names(self, kind: str) -> list[str]:
        return [one["metadata"]["name"] for one in self.objects if one["kind"] == kind]

    def pod(self, name: str) -> Manifest:
        """Pod spec of a Deployment."""
        spec: Manifest = self.get("Deployment", name)["spec"]["template"]["spec"]
        return spec

    def container(self, name: str) -> Manifest:
        """The one container of a Deployment."""
        (container,) = self.pod(name)["containers"]
        return dict(container)

    def rules(self) -> list[Manifest]:
        """Every rule of every role, also of those that are aggregated."""
        return [rule for one in self.objects if one["kind"] in ("ClusterRole", "Role") for rule in one["rules"]]
