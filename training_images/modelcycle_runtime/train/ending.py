"""How a training ends: which class of failure it was, what to say last, and with which exit code."""

from __future__ import annotations

import traceback

from modelcycle_runtime.errors import DeviceFault, Failure, OutOfMemory, TrackingUnavailable, UserError

EXIT_TERMINATED = 143
TRACEBACK_LINES = 12

# torch raises RuntimeError for whatever CUDA reports. These of its texts accuse the hardware, not the code.
_DEVICE_FAULTS = (
    "uncorrectable ECC error",
    "device(s) is/are busy or unavailable",
    "GPU is lost",
    "NVLink",
)
_UNANSWERED = ("failed with exception", "failed with error code 5")
_UNANSWERED_ARTIFACTS = ("requests.exceptions.ConnectionError", "requests.exceptions.Timeout")
_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


class Terminated(BaseException):
    """SIGTERM arrived. Not an Exception, so that a user's ``except Exception`` does not swallow it."""


def failure_of(error: BaseException) -> Failure:
    """Class an error that ended a training, with the last lines of its traceback."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, SystemExit):
        return UserError(f"the script ended itself with exit code {error.code}")
    text = last_lines(error)
    if _is_unanswered(error):
        return TrackingUnavailable(f"MLflow does not answer: {error}")
    if _is_out_of_memory(error):
        return OutOfMemory(text)
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _DEVICE_FAULTS):
        return DeviceFault(text)
    return UserError(text)


def last_lines(error: BaseException) -> str:
    """Give the end of the traceback: the innermost frames and the message. The library's own frame is left out."""
    trace = error.__traceback__
    of_the_script = trace.tb_next if trace is not None and trace.tb_next is not None else trace
    lines = "".join(traceback.format_exception(type(error), error, of_the_script)).rstrip().splitlines()
    return "\n".join(lines[-TRACEBACK_LINES:])


def _is_unanswered(error: BaseException) -> bool:
    """Whether MLflow's client gave up: for its API in an exception of its own, for artifacts in that of requests."""
    kinds = [f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__]
    wrapped = "mlflow.exceptions.MlflowException" in kinds and any(words in str(error) for words in _UNANSWERED)
    return wrapped or any(kind in _UNANSWERED_ARTIFACTS for kind in kinds)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _OUT_OF_MEMORY)
