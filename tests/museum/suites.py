"""Existing tests against broken operators: ``python -m tests.museum.suites`` reads guards and answers with exit codes.

Each exhibit gets a fork of that process, in which the patch is made before the tests are imported: so the product and
pytest are loaded once for all of them, and no exhibit sees what another one broke.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.museum.catalogue import named
from tests.museum.exhibit import Exhibit, Suite

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT, ROOT / "operator", ROOT / "training_images")
PYTEST = ("-q", "-rf", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout", "120")
NOT_RUN = 99


class Tested(NamedTuple):
    """``code``: the exit code of pytest."""

    code: int
    report: str


class Suites:
    """The process, to be asked for one exhibit after the other."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._report = folder / "report.txt"

    def run(self, exhibit: Exhibit) -> Tested:
        """Run the test that has to catch it."""
        to, back = self._process.stdin, self._process.stdout
        if to is None or back is None:
            raise RuntimeError("the suites run without pipes")
        print(exhibit.guard, file=to, flush=True)
        code = back.readline().strip()
        report = self._report.read_text(encoding="utf-8", errors="replace") if self._report.exists() else ""
        return Tested(int(code or NOT_RUN), report)


@contextmanager
def suites() -> Iterator[Suites]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, SOURCES)), "COLUMNS": "300"}
    environment.pop("PYTEST_ADDOPTS", None)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.museum.suites", f"{folder}/report.txt"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
            try:
                yield Suites(process, Path(folder))
            finally:
                process.kill()


# --- in the process --------------------------------------------------------------------------------------------------
def main(report: str) -> None:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        pytest.main(["--version"])  # loads its plugins
    for line in sys.stdin:
        exhibit = named(line.strip())
        code = _forked(exhibit, exhibit.caught_by, report) if isinstance(exhibit.caught_by, Suite) else NOT_RUN
        print(code, flush=True)


def _forked(exhibit: Exhibit, suite: Suite, report: str) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = NOT_RUN
    try:
        _redirected(report)
        exhibit.breaks(pytest.MonkeyPatch())
        code = int(pytest.main([*PYTEST, f"tests/unit/{suite.file}", "-k", suite.test]))
        sys.stdout.flush()
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    os._exit(code)


def _redirected(report: str) -> None:
    out, nothing = os.open(report, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (out, 1), (out, 2)):
        os.dup2(source, target)


if __name__ == "__main__":
    main(sys.argv[1])
