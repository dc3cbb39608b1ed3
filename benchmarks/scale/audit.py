"""Who wrote how much to the API server, by its own audit log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
Written = Counter[tuple[str, str, str]]


@dataclass
class AuditLog:
    """``new()`` gives what came since the last time."""

    path: Path
    offset: int = 0

    def new(self) -> Written:
        """(who, verb, resource) -> count of writes that went through."""
        return Counter(self._read())

    def _read(self) -> Iterator[tuple[str, str, str]]:
        with self.path.open("rb") as log:
            log.seek(self.offset)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self.offset += len(line)
                event = orjson.loads(line)
                if event["verb"] in WRITES and event.get("responseStatus", {}).get("code", 0) < 300:
                    about = event.get("objectRef", {})
                    resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
                    yield event.get("userAgent", "").partition("/")[0], event["verb"], resource


def total(written: Mapping[tuple[str, str, str], int], *, who: str | None = None) -> int:
    """All writes, or those of one; Leases are left out, which nobody's work is."""
    return sum(count for (by, _, resource), count in written.items() if resource != "leases" and who in (None, by))
