"""What the person who runs the demo decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from e2e.demo.market import ROOT, SAMPLE

DEPLOYMENT = POLICY = "hedge"
FIRST_TRAINING = "hedge-2006"
REPLAY = "hedge-replay"
SAMPLE_NAMESPACE = "energy-desk"


@dataclass(frozen=True, slots=True)
class Settings:
    """``days``: so many trading days from ``first`` on (ISO 8601); None replays up to ``last``."""

    cluster: str = "modelcycle"
    provider: str = "auto"
    kubeconfig: Path | None = None
    namespace: str = SAMPLE_NAMESPACE
    first: str = "2007-01-01"
    last: str = "2012-12-31"
    days: int | None = None
    out: Path = ROOT / "out" / "demo"

    @property
    def model(self) -> str:
        return f"{self.namespace}.hedge"

    @property
    def sample(self) -> Path:
        return SAMPLE

    @property
    def gathered(self) -> Path:
        """Folder of what was read from the cluster: the report is made of it, also when the cluster is gone."""
        return self.out / "gathered"
