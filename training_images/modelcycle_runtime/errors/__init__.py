"""Every failure that a pod's program tells the operator about.

::

    Failure                     kind             exit code
    ├── UserError               UserError        1
    ├── DataError               DataError        65
    ├── NonFiniteLoss           NonFiniteLoss    70
    ├── OutOfMemory             OutOfMemory      1
    ├── DeviceFault             DeviceFault      75
    ├── TrackingUnavailable     Unknown          69
    ├── DigestMismatch          Digest           66
    ├── ArtifactMissing         Missing          66
    ├── ArtifactRefused         Refused          66
    ├── ArtifactsUnavailable    Unavailable      69
    ├── ModelUnusable           ModelUnusable    66
    └── SmokeFailed             SmokeFailed      65

``kind`` is the ``class`` of the termination message.
"""

from __future__ import annotations

from typing import ClassVar

from modelcycle_runtime.contract import EXIT_DATA, EXIT_DEVICE, EXIT_NON_FINITE, EXIT_UNAVAILABLE, EXIT_UNUSABLE


class Failure(Exception):
    """Base of all; the message is for people and names what, where and what to do."""

    kind: ClassVar[str]
    exit_code: ClassVar[int] = 1


class UserError(Failure):
    """The user's code did something that can't work."""

    kind = "UserError"


class DataError(Failure):
    """The data can't be read, or isn't what was promised."""

    kind = "DataError"
    exit_code = EXIT_DATA


class NonFiniteLoss(Failure):
    """The loss became NaN or infinite."""

    kind = "NonFiniteLoss"
    exit_code = EXIT_NON_FINITE


class OutOfMemory(Failure):
    """An allocation failed, of main memory or of a device."""

    kind = "OutOfMemory"


class DeviceFault(Failure):
    """The accelerator, not the code, is at fault."""

    kind = "DeviceFault"
    exit_code = EXIT_DEVICE


class TrackingUnavailable(Failure):
    """MLflow did not answer a training for as long as its client tried: not the code's fault, so it is tried again."""

    kind = "Unknown"
    exit_code = EXIT_UNAVAILABLE


class DigestMismatch(Failure):
    """A file isn't the one that was registered."""

    kind = "Digest"
    exit_code = EXIT_UNUSABLE


class ArtifactMissing(Failure):
    """The artifact store has no such file."""

    kind = "Missing"
    exit_code = EXIT_UNUSABLE


class ArtifactRefused(Failure):
    """The artifact store says no, or the address is of a kind that is not fetched."""

    kind = "Refused"
    exit_code = EXIT_UNUSABLE


class ArtifactsUnavailable(Failure):
    """The artifact store did not answer for as long as it was waited for, or does not let this pod in."""

    kind = "Unavailable"
    exit_code = EXIT_UNAVAILABLE


class ModelUnusable(Failure):
    """The model's files can't be loaded."""

    kind = "ModelUnusable"
    exit_code = EXIT_UNUSABLE


class SmokeFailed(Failure):
    """The model does not answer its recorded rows as it did at training."""

    kind = "SmokeFailed"
    exit_code = EXIT_DATA
