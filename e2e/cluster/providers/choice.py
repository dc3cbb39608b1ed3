"""Which provider a machine gets."""

from __future__ import annotations

from e2e.cluster.options import Options
from e2e.cluster.providers.base import Provider
from e2e.cluster.providers.local import Local


PROVIDERS = ("auto", "existing", "kind", "local")


def choose(wanted: str, options: Options) -> Provider:
    return Local(options.name)
