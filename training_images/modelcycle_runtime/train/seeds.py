"""One seed for everything that draws random numbers."""

from __future__ import annotations

import importlib.util
import os
import random

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and, where it is installed, torch, which is also put into its deterministic mode.

    Deterministic mode makes an operation without a deterministic implementation raise instead of differing from run to
    run. cuBLAS reads its variable when it is loaded, which is later than this.
    """
    random.seed(seed)
    np.random.seed(seed)
    if importlib.util.find_spec("torch") is None:
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch

    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
