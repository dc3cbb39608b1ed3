"""How much is fuzzed, by which seed, and what came of it."""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest

from tests.integration.serving.fuzz.watch import COUNTS

REQUESTS = int(os.environ.get("MODELCYCLE_FUZZ", "3000"))
"""Of all tests together; ``make fuzz`` has 100,000."""
SEED = int(os.environ.get("MODELCYCLE_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
_STARTED = time.monotonic()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not COUNTS:
        return
    terminalreporter.section("fuzzed requests of the server")
    seconds = time.monotonic() - _STARTED
    terminalreporter.line(f"{COUNTS.total()} requests in {seconds:.0f} s; MODELCYCLE_FUZZ_SEED={SEED}")
    for surface in dict.fromkeys(surface for surface, _ in COUNTS):
        counts = Counter({status: count for (one, status), count in COUNTS.items() if one == surface})
        told = ", ".join(f"{status}: {count}" for status, count in sorted(counts.items()))
        terminalreporter.line(f"  {surface} ({counts.total()}): {told}")
