from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from modelcycle.runtime.memory import LARGE_BYTES, YOUNG_OBJECTS

SETTLED = """
import gc
from modelcycle.runtime import memory
memory.settle()
print(gc.get_freeze_count(), *gc.get_threshold())
"""
GIVEN_BACK = f"""
from modelcycle.runtime import memory
memory.give_back()
def kept():
    return int(open("/proc/self/statm").read().split()[1])
del [bytes(30 << 20)][:]  # after this glibc would take the heap for pieces of up to 30 MiB
before = kept()
pieces = [bytes({LARGE_BYTES} + 1) + b"x" for _ in range(400)]
spacers = [bytes(600) for _ in range(400)]
del pieces
print((kept() - before) * 4096)
"""


def _said(program: str) -> list[int]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_settling_freezes_what_is_there_and_looks_less_often() -> None:
    frozen, threshold, *_ = _said(SETTLED)
    assert frozen > 1000
    assert threshold == YOUNG_OBJECTS


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_large_pieces_are_given_back() -> None:
    [left] = _said(GIVEN_BACK)
    assert left < 10 << 20, f"{left} bytes of 50 MiB are still there"
