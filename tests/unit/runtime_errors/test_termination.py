from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelcycle_runtime import errors
from modelcycle_runtime.errors import termination


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "termination-log"
    path.touch()
    monkeypatch.setenv(termination.ENV_PATH, str(path))
    return path


def test_a_failure_is_told_with_its_class(log: Path) -> None:
    termination.write_failure(errors.DataError("prices.csv: has no column wti"), data=None)
    assert json.loads(log.read_text()) == {
        "modelcycle": 1,
        "class": "DataError",
        "message": "prices.csv: has no column wti",
        "data": None,
    }


def test_nothing_is_made_where_the_kubelet_made_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "absent"
    monkeypatch.setenv(termination.ENV_PATH, str(path))
    termination.write_record({"message": "on a developer's machine"})
    assert not path.exists()


def test_a_long_message_keeps_its_beginning_and_its_end(log: Path) -> None:
    termination.write_record({"message": "first " + "x" * 10_000 + " last"})
    message = json.loads(log.read_text())["message"]
    assert message.startswith("first ")
    assert message.endswith(" last")
    assert "[…]" in message


@given(st.text(max_size=30_000))
def test_whatever_the_message_it_fits_and_is_json(message: str) -> None:
    encoded = termination.encode({"modelcycle": 1, "message": message}, limit=300)
    assert len(encoded) <= 300
    assert isinstance(json.loads(encoded)["message"], str)


def test_little_is_cut_when_little_is_too_much() -> None:
    encoded = termination.encode({"message": "ü\n" * 3000})
    assert 4090 <= len(encoded) <= 4096


def test_fields_that_are_too_long_are_an_error_of_ours() -> None:
    with pytest.raises(ValueError, match="4096"):
        termination.encode({"message": "", "columns": ["a" * 5000]})


def test_no_message_holds_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        termination.encode({"message": "", "loss": float("nan")})


def test_every_failure_has_a_class_of_its_own() -> None:
    kinds = [failure.kind for failure in errors.Failure.__subclasses__()]
    assert len(kinds) == len(set(kinds))


@pytest.mark.parametrize("failure", errors.Failure.__subclasses__())
def test_the_tree_in_the_docstring_is_the_tree(failure: type[errors.Failure]) -> None:
    line = next(line for line in str(errors.__doc__).splitlines() if failure.__name__ in line)
    assert line.split()[2:] == [failure.kind, str(failure.exit_code)]
