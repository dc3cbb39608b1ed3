from __future__ import annotations

import pytest
import requests
from mlflow.exceptions import MlflowException

from modelcycle_runtime.errors import DataError, Failure, NonFiniteLoss
from modelcycle_runtime.train.ending import TRACEBACK_LINES, Terminated, failure_of


class OutOfMemoryError(RuntimeError):
    """As torch's."""


@pytest.mark.parametrize(
    ("error", "kind", "exit_code"),
    [
        pytest.param(ValueError("x"), "UserError", 1, id="the code raised"),
        pytest.param(KeyboardInterrupt(), "UserError", 1, id="interrupted"),
        pytest.param(SystemExit(3), "UserError", 1, id="the script ended itself"),
        pytest.param(DataError("x"), "DataError", 65, id="bad data keeps its class"),
        pytest.param(NonFiniteLoss("x"), "NonFiniteLoss", 70, id="NaN loss keeps its class"),
        pytest.param(MemoryError(), "OutOfMemory", 1, id="main memory"),
        pytest.param(OutOfMemoryError("CUDA out of memory. Tried"), "OutOfMemory", 1, id="device memory"),
        pytest.param(
            RuntimeError("CUDA error: uncorrectable ECC error encountered"), "DeviceFault", 75, id="broken device"
        ),
        pytest.param(RuntimeError("CUDA error: device-side assert triggered"), "UserError", 1, id="an index of theirs"),
        pytest.param(ValueError("out of memory of mine"), "UserError", 1, id="words alone prove nothing"),
        pytest.param(
            MlflowException("API request to http://m/api failed with exception refused"), "Unknown", 69, id="no MLflow"
        ),
        pytest.param(MlflowException("No experiment with id=7"), "UserError", 1, id="MLflow says no"),
        pytest.param(requests.exceptions.ConnectTimeout("x"), "Unknown", 69, id="no artifact store"),
    ],
)
def test_an_error_has_a_class_and_an_exit_code(error: BaseException, kind: str, exit_code: int) -> None:
    failure = failure_of(error)
    assert (failure.kind, failure.exit_code) == (kind, exit_code)


def test_the_message_is_the_end_of_the_traceback() -> None:
    def deep(level: int) -> None:
        if level == 0:
            raise ValueError("the bottom")
        deep(level - 1)

    with pytest.raises(ValueError, match="bottom") as caught:
        deep(50)
    message = str(failure_of(caught.value))
    assert message.endswith("ValueError: the bottom")
    assert len(message.splitlines()) <= TRACEBACK_LINES
    assert "deep(level - 1)" in message


def test_a_failure_of_ours_speaks_for_itself() -> None:
    assert str(failure_of(DataError("no column oil"))) == "no column oil"


def test_sigterm_is_not_swallowed_by_except_exception() -> None:
    assert not issubclass(Terminated, Exception)
    assert not issubclass(Terminated, Failure)
