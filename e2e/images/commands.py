"""Other programs, run with their output in a log."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from e2e.images.errors import CommandFailed, ImagesError, tail_of

PROGRESS_WIDTH = 80


def run_logged(command: Sequence[str], log: Path, *, advice: str, timeout: float | None = None) -> None:
    """Run a command with its output appended to the log; raises CommandFailed with the log's last lines."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"$ {shlex.join(command)}\n".encode())
        output.flush()
        try:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=timeout, check=False
            ).returncode
        except FileNotFoundError as error:
            message = f"The program {command[0]} is not installed. {advice}"
            raise ImagesError(message) from error
        except subprocess.TimeoutExpired:
            output.write(f"(no end after {timeout:.0f} s)\n".encode())
            code = os.EX_TEMPFAIL
    if code != 0:
        raise CommandFailed(command, code, log, advice)


def succeeds(command: Sequence[str], *, timeout: float) -> bool:
    """Say whether a command ends well within the time; one that is not installed does not."""
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode == 0
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return False


def output_of(command: Sequence[str]) -> str:
    """Give what a short command prints; raises ImagesError with its error output."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"`{shlex.join(command)}` ended with status {done.returncode}: {done.stderr.strip()}"
        raise ImagesError(message)
    return done.stdout


def last_line(log: Path) -> Callable[[], str]:
    """Give what e2e.progress asks for the words of its "still at it" lines."""
    return lambda: "".join(tail_of(log, 1))[:PROGRESS_WIDTH].strip()
