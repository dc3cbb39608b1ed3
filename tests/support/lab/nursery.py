"""Starts operators as processes of their own without paying for their imports each time.

Run as a program it imports the operator once, and forks for each line of its standard input: ``{"arguments": [...],
"log": path}``; it answers with the process id. Each child runs ``modelcycle.cli.main``, exactly what
``python -m modelcycle`` runs, and dies with the nursery.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

_PR_SET_PDEATHSIG = 1


class Nursery:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def start(self, arguments: Sequence[str], log: Path) -> int:
        """Start an operator; gives its process id."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the nursery has no pipes")
        async with self._turn:
            stdin.write(json.dumps({"arguments": list(arguments), "log": str(log)}).encode() + b"\n")
            await stdin.drain()
            return int(await stdout.readline())


@asynccontextmanager
async def nursery(source: Path | None = None) -> AsyncIterator[Nursery]:
    """``source``: the folder of another operator's package than this tree's."""
    paths = [*([str(source)] if source else []), *(path for path in sys.path if path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        yield Nursery(process)
    finally:
        process.kill()
        await process.wait()


def main() -> None:
    from modelcycle import app, cli

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a child ended
    assert app.DOMAINS
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            _become(order["log"])
            os._exit(cli.main(order["arguments"]))
        print(child, flush=True)


def _become(log: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for ours, theirs in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(ours, theirs)


if __name__ == "__main__":
    main()
