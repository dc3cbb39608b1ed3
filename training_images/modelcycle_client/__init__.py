"""The client of modelcycle's serving pods: Open Inference Protocol v2 over HTTP, with feedback.

:class:`Client` is for threads (by urllib3), :class:`AsyncClient` for asyncio (by aiohttp). Each is imported when it is
first asked for, and with it its library only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from modelcycle_client.errors import (
    BadRequest,
    BrokenOff,
    Busy,
    ClientError,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    ExpiredToken,
    FeedbackRefused,
    ForgedToken,
    GarbledAnswer,
    InvalidInput,
    MalformedFeedback,
    NoAnswer,
    NotServed,
    Refused,
    ReplayedToken,
    ServerFault,
)
from modelcycle_client.feedback import Fate, Feedback
from modelcycle_client.protocol import Answer, Metadata, TensorSpec
from modelcycle_client.retries import Retries
from modelcycle_client.tensors import Tensor

if TYPE_CHECKING:
    from modelcycle_client.aio import AsyncClient
    from modelcycle_client.client import Client

__all__ = [
    "Answer",
    "AsyncClient",
    "BadRequest",
    "BrokenOff",
    "Busy",
    "Client",
    "ClientError",
    "ConnectFailed",
    "ConnectionLost",
    "DeadlineExceeded",
    "ExpiredToken",
    "Fate",
    "Feedback",
    "FeedbackRefused",
    "ForgedToken",
    "GarbledAnswer",
    "InvalidInput",
    "MalformedFeedback",
    "Metadata",
    "NoAnswer",
    "NotServed",
    "Refused",
    "ReplayedToken",
    "Retries",
    "ServerFault",
    "Tensor",
    "TensorSpec",
]

_LATER = {"AsyncClient": "modelcycle_client.aio", "Client": "modelcycle_client.client"}


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__} has no attribute {name}")
