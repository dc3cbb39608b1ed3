"""All exhibits, hall by hall."""

from __future__ import annotations

from tests.museum import deployments, policies, registry, replicas, runtime, trainings
from tests.museum.exhibit import Exhibit

HALLS: dict[str, tuple[Exhibit, ...]] = {
    "trainings": trainings.EXHIBITS,
    "deployments": deployments.EXHIBITS,
    "policies": policies.EXHIBITS,
    "replicas": replicas.EXHIBITS,
    "runtime": runtime.EXHIBITS,
    "registry": registry.EXHIBITS,
}
EXHIBITS = tuple(exhibit for hall in HALLS.values() for exhibit in hall)


def named(guard: str) -> Exhibit:
    """The exhibit without ``guard``. Raises ``KeyError``."""
    return {exhibit.guard: exhibit for exhibit in EXHIBITS}[guard]
