from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from modelcycle_client.bench.measure import Lines
from modelcycle_client.cli import main

URL = "http://127.0.0.1:1/x"
ROOT = Path(__file__).parents[3] / "training_images"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([URL], "one of the arguments --rate --find --closed is required"),
        ([URL, "--closed", "--find"], "not allowed with"),
        ([URL, "--rate", "0"], "argument --rate: invalid rates value: '0'"),
        ([URL, "--rate", "10,x"], "invalid rates value: '10,x'"),
        ([URL, "--closed", "--seconds", "nan"], "invalid number value"),
        ([URL, "--closed", "--connections", "0"], "invalid count value"),
        ([URL, "--closed", "--header", "x"], "invalid header value: 'x'"),
        ([URL, "--closed", "--header", "a: b\r\nc: d"], "invalid header value"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["bench", *words])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["http://127.0.0.1:1", "--closed"], "which model? Say --model NAME, or http://127.0.0.1:1/v2/models/NAME"),
        ([URL, "--closed"], "or give --body"),
        (["http://127.0.0.1:1", "--model", "m", "--closed"], "Connection refused"),
        ([URL, "--closed", "--body", "/nowhere"], "No such file"),
    ],
)
def test_what_can_not_be_measured(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 1
    assert said in capsys.readouterr().err


TOLD = {"seconds": 2.2, "good": 1234, "failed": 1, "p50": 1000.0, "p99": 2500.0}


def test_progress_of_a_terminal_and_of_a_log() -> None:
    written: list[str] = []
    log = Lines(written.append, is_terminal=False)
    log("500/s", TOLD)
    log("500/s", TOLD)
    log.end()
    assert written == ["500/s: 2 s, 1,234 answered, 1 not, p50 1.00 ms, p99 2.50 ms\n"]
    written.clear()
    terminal = Lines(written.append, is_terminal=True)
    terminal("500/s", {**TOLD, "good": 0, "failed": 0})
    terminal.end()
    assert written == ["\r500/s: 2 s, 0 answered, 0 not\x1b[K", "\r\x1b[K"]


def test_the_client_needs_neither_the_core_nor_the_other_library() -> None:
    """In a process of its own, as this one has imported everything."""
    absent = (
        "modelcycle_core",
        "modelcycle_runtime",
        "modelcycle",
        "ml_dtypes",
        "mlflow",
        "kopf",
        "pydantic",
        "onnxruntime",
    )
    for name, other in (("Client", "aiohttp"), ("AsyncClient", "urllib3")):
        program = (
            f"import sys; sys.modules.update(dict.fromkeys({(*absent, other)!r}))\n"
            f"from modelcycle_client import {name}; {name}('http://h', 'm')"
        )
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=True)


def test_without_the_core_bench_says_where_it_is() -> None:
    program = (
        "import sys; sys.modules['modelcycle_core'] = None; from modelcycle_client.cli import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "bench", URL, "--closed", "--body", __file__],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "`make core`" in done.stderr
