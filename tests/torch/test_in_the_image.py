"""Runs the checks that need torch where torch is: in the training image."""

from __future__ import annotations

import subprocess
import sys

import pytest

from e2e.demo.market import ROOT
from e2e.images import ImagesError, build

TIMEOUT_SECONDS = 5400  # with the image to be built, on a slow machine


@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_the_library_and_the_sample_with_real_torch() -> None:
    try:
        build(["training"])
    except ImagesError as error:
        pytest.skip(f"no training image can be built here: {error}")
    command = [
        sys.executable, "-m", "e2e.images", "run", "--repo", "training", "--",
        "python", "-W", "ignore", "/repository/tests/torch/checks.py",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("passed ") == 8, done.stdout
