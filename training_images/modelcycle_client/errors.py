"""Everything that goes wrong between a program and its model.

::

    ClientError
    ├── InvalidInput             the request can't be made of what was given; nothing was sent (also a ValueError)
    ├── NoAnswer                 no whole answer came
    │   ├── ConnectFailed        nothing was sent
    │   ├── ConnectionLost       the connection ended before the answer: the request may have been carried out
    │   │   └── BrokenOff        within the answer
    │   └── DeadlineExceeded     the timeout was over, here or at the server (also a TimeoutError)
    ├── GarbledAnswer            what came is no answer of the protocol
    ├── Refused                  the server said no: status and message
    │   ├── BadRequest           400, 413, 415: the message names the field
    │   ├── NotServed            404, 405: another model or version, or not a server of this protocol
    │   ├── Busy                 503, 429: too much waits, or it is not ready (retry_after: seconds)
    │   └── ServerFault          5xx: the model or a proxy failed
    └── FeedbackRefused          labels that did not count (feedback: what became of each row)
        ├── ForgedToken          not signed with this deployment's key
        ├── ReplayedToken        a label came with this token before
        ├── ExpiredToken         of a version that this server can score no more
        └── MalformedFeedback    no token, or no number
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelcycle_client.feedback import Feedback


class ClientError(Exception):
    """Base of all; the message is for people."""


class InvalidInput(ClientError, ValueError):
    pass


class NoAnswer(ClientError):
    pass


class ConnectFailed(NoAnswer):
    pass


class ConnectionLost(NoAnswer):
    pass


class BrokenOff(ConnectionLost):
    pass


class DeadlineExceeded(NoAnswer, TimeoutError):
    pass


class GarbledAnswer(ClientError):
    pass


class Refused(ClientError):
    """The server's status (of HTTP) and its message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class BadRequest(Refused):
    pass


class NotServed(Refused):
    pass


class Busy(Refused):
    """``retry_after``: seconds that the server asks to wait, None where it does not say."""

    def __init__(self, status: int, message: str, retry_after: float | None) -> None:
        super().__init__(status, message)
        self.retry_after = retry_after


class ServerFault(Refused):
    pass


class FeedbackRefused(ClientError):
    """Some labels did not count, for a reason of this class or one below it in the tree; the others did.

    ``feedback`` says what became of each row.
    """

    def __init__(self, message: str, feedback: Feedback) -> None:
        super().__init__(message)
        self.feedback = feedback


class ForgedToken(FeedbackRefused):
    pass


class ReplayedToken(FeedbackRefused):
    pass


class ExpiredToken(FeedbackRefused):
    pass


class MalformedFeedback(FeedbackRefused):
    pass
