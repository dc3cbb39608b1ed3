from __future__ import annotations

from pathlib import Path

import pytest

from e2e.images.commands import last_line, output_of, run_logged, succeeds
from e2e.images.errors import CommandFailed, ImagesError
from tests.unit.e2e_images.programs import Programs


def test_a_failure_says_what_where_and_what_to_do(programs: Programs, log: Path) -> None:
    programs.add("builder", "echo step one; echo no space left >&2; exit 3")
    with pytest.raises(CommandFailed) as caught:
        run_logged(["builder", "build"], log, advice="Free some space.")
    text = str(caught.value)
    assert caught.value.code == 3
    assert "builder ended with status 3" in text
    assert "  | no space left\n" in text
    assert str(log) in text
    assert text.endswith("Free some space.")


def test_a_program_that_is_not_installed_is_named(programs: Programs, log: Path) -> None:
    assert programs.calls() == []
    with pytest.raises(ImagesError, match=r"mmdebstrap is not installed\. Install it\."):
        run_logged(["mmdebstrap"], log, advice="Install it.")


def test_a_command_without_end_is_ended(programs: Programs, log: Path) -> None:
    programs.add("builder", "exec sleep 60")
    with pytest.raises(CommandFailed, match="no end after 1 s"):
        run_logged(["builder"], log, advice="Try again.", timeout=1)


def test_the_log_has_every_command_with_its_output(programs: Programs, log: Path) -> None:
    programs.add("builder", "echo output of $1")
    run_logged(["builder", "one"], log, advice="")
    run_logged(["builder", "two words"], log, advice="")
    assert log.read_text(encoding="utf-8").splitlines() == [
        "$ builder one", "output of one", "$ builder 'two words'", "output of two words",
    ]  # fmt: skip
    assert last_line(log)() == "output of two words"


def test_there_is_no_last_line_before_the_log(tmp_path: Path) -> None:
    assert last_line(tmp_path / "missing.log")() == ""


def test_a_probe_is_a_yes_only_when_the_command_ends_well(programs: Programs) -> None:
    programs.add("good")
    programs.add("bad", "exit 1")
    programs.add("hanging", "exec sleep 60")
    assert succeeds(["good"], timeout=10)
    assert not succeeds(["bad"], timeout=10)
    assert not succeeds(["hanging"], timeout=0.2)
    assert not succeeds(["missing"], timeout=10)


def test_the_error_output_of_a_short_command_is_kept(programs: Programs) -> None:
    programs.add("builder", "echo reason >&2; exit 1")
    with pytest.raises(ImagesError, match="`builder from scratch` ended with status 1: reason"):
        output_of(["builder", "from", "scratch"])
