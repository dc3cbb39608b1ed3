"""Log lines for machines (one JSON object each) and for people, both with the resource that they are about."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from enum import StrEnum

from modelcycle.runtime.ports import Key

_CURRENT: ContextVar[tuple[Key, str] | None] = ContextVar("current", default=None)


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


@contextmanager
def working_on(key: Key, reconcile_id: str) -> Iterator[None]:
    """Every line inside says which resource and which pass it belongs to."""
    token = _CURRENT.set((key, reconcile_id))
    try:
        yield
    finally:
        _CURRENT.reset(token)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(_fields(record) | self._trace(record), ensure_ascii=False, default=str)

    def _trace(self, record: logging.LogRecord) -> dict[str, str]:
        return {"exception": self.formatException(record.exc_info)} if record.exc_info else {}


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = _fields(record)
        where = f" [{fields['kind']} {fields['namespace']}/{fields['name']}]" if "kind" in fields else ""
        trace = f"\n{self.formatException(record.exc_info)}" if record.exc_info else ""
        return f"{fields['time']} {fields['level']:7} {fields['message']}{where}{trace}"


def set_up(format_: LogFormat, level: int = logging.INFO) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if format_ is LogFormat.JSON else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # kopf tells of every event that it hands on, twice.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


def _fields(record: logging.LogRecord) -> dict[str, str]:
    fields = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "message": record.getMessage(),
    }
    current = _CURRENT.get()
    if current is None:
        return fields
    key, reconcile_id = current
    return fields | {"kind": key.kind, "namespace": key.namespace, "name": key.name, "reconcile": reconcile_id}
