"""The time, asked for in one place, so that everything that decides is given it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Wall clock time, aware, in UTC. Spans of time are measured by the event loop's monotonic clock instead."""
    return datetime.now(UTC)
