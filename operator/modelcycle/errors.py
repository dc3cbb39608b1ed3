"""Every error that an adapter raises; decisions return outcomes instead.

::

    ModelcycleError
    ├── Retryable            try again later (after: seconds, or the caller's backoff)
    │   ├── Unavailable      the other side does not answer, or with 429/5xx, or with what can't be understood
    │   │   └── Expired      the next page of a list that is too old: begin the list again
    │   ├── Missing          what is needed is not there yet, and not ours to make
    │   ├── Conflict         somebody else wrote first: read again
    │   └── Fenced           another replica may be the leader: this one must not write
    └── Terminal             trying again changes nothing until something else does
        ├── NotFound
        ├── AlreadyExists
        ├── Refused          the other side says no (403, 422, a policy of the administrator)
        │   └── Terminating  the namespace is being deleted: nothing can be made in it any more
        └── Unusable         what was found can't be used, with a reason for a condition
"""

from __future__ import annotations


class ModelcycleError(Exception):
    """Base of all; the message is for people and names what, where and what to do."""


class Retryable(ModelcycleError):
    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class Unavailable(Retryable):
    pass


class Expired(Unavailable):
    pass


class Missing(Retryable):
    pass


class Conflict(Retryable):
    pass


class Fenced(Retryable):
    pass


class Terminal(ModelcycleError):
    pass


class NotFound(Terminal):
    pass


class AlreadyExists(Terminal):
    pass


class Refused(Terminal):
    pass


class Terminating(Refused):
    pass


class Unusable(Terminal):
    """What was found can't be used; ``reason`` becomes the reason of a condition."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
