"""The last question before a request is sent: may it be?

It is asked once there is a connection. To wait for one may take long, and longer still where the whole process is
paused: whoever asks before the wait has asked too early. What has been handed to the event loop after the question
leaves also when the process is paused before it does; a network may keep a request as long.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import aiohttp


def asks_when_sending() -> aiohttp.TraceConfig:
    """For a session: a request's ``trace_request_ctx``, if it has one, is called, and the request ends by its error."""
    config = aiohttp.TraceConfig()
    config.on_connection_create_end.append(_ask)
    config.on_connection_reuseconn.append(_ask)
    return config


async def _ask(session: aiohttp.ClientSession, context: SimpleNamespace, parameters: Any) -> None:  # noqa: ANN401
    if context.trace_request_ctx is not None:
        context.trace_request_ctx()
