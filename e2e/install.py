"""modelcycle on a cluster: its images on the node, its chart installed. Demo and scenarios both begin like this."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from e2e.cluster import Cluster, binaries
from e2e.images import Image, build
from e2e.images.catalogue import published
from e2e.progress import step

SYSTEM = "modelcycle-system"
RELEASE = "modelcycle"
SCRAPE_SECONDS = 1
"""How often Prometheus reads the pods: whoever waits for a rollout here waits for that."""

_CHART = Path(__file__).resolve().parents[1] / "helm" / "modelcycle"
_IN_CHART = ("operator", "serving", "mlflow", "prometheus")


class InstallError(Exception):
    """The chart could not be installed; the message is helm's."""


def provide_images(cluster: Cluster) -> dict[str, Image]:
    """Put all images, built or from the cache, on the cluster's node."""
    images = {image.name: image for image in build()}
    present = _present(cluster)
    for image in images.values():
        if image.reference not in present:
            with step(f"loading the {image.name} image into the cluster"):
                cluster.load_image(image.archive)
    return images


def install(cluster: Cluster, images: Mapping[str, Image], values: Sequence[str] = ()) -> None:
    """Install or upgrade the chart, and wait until everything in it is ready.

    Args:
        cluster: where.
        images: what :func:`provide_images` gave.
        values: more of helm's ``--set``, each ``name=value``.

    Raises:
        InstallError: helm says why.
    """
    tags = [f"image.tags.{name}={images[name].key}" for name in _IN_CHART]
    settings = [*tags, f"prometheus.scrapeIntervalSeconds={SCRAPE_SECONDS}", *values]
    command = [
        str(binaries.program("helm")), "upgrade", "--install", RELEASE, str(_CHART),
        f"--kubeconfig={cluster.kubeconfig}", f"--namespace={SYSTEM}", "--create-namespace",
        "--wait", "--timeout=30m", *(f"--set={setting}" for setting in settings),
    ]  # fmt: skip
    with step("installing modelcycle with MLflow and Prometheus"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"helm could not install the chart: {done.stderr.strip()}"
        raise InstallError(message)


def _present(cluster: Cluster) -> frozenset[str]:
    """Images that every node says it has: the big ones take half a minute to load."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    held = [{name for one in node["status"].get("images", []) for name in one["names"]} for node in nodes]
    return frozenset(set.intersection(*held)) if held else frozenset()


def local_names(images: Mapping[str, Image]) -> dict[str, str]:
    """The images' names in the samples, and what they are called on this cluster."""
    return {published(image.reference): image.reference for image in images.values()}
